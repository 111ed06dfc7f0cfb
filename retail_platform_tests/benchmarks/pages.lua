-- What wrk asks for: lines of a file, each a path and a cookie, in an order of each thread's own.
-- wrk -s pages.lua URL -- FILE; the last line that it prints is what came of it, as JSON.

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(arguments)
  others = 0
  requests = {}
  for line in io.lines(arguments[1]) do
    local path, cookie = line:match("^(%S+)\t(%S*)$")
    local headers = { ["Accept-Encoding"] = "gzip" }
    if cookie ~= "" then
      headers["Cookie"] = "visit=" .. cookie
    end
    table.insert(requests, wrk.format("GET", path, headers))
  end
  math.randomseed(number)
end

function request()
  return requests[math.random(#requests)]
end

-- wrk itself counts those from 400 alone; a page of figures that take long is a 202.
function response(status)
  if status ~= 200 then
    others = others + 1
  end
end

function done(summary, latency)
  local errors = summary.errors
  local others = 0
  for _, thread in ipairs(threads) do
    others = others + thread:get("others")
  end
  io.write(string.format(
    '{"requests": %d, "seconds": %.3f, "socket": %d, "status": %d, "timeout": %d, "p50": %.6f, "p99": %.6f}\n',
    summary.requests, summary.duration / 1e6, errors.connect + errors.read + errors.write,
    others, errors.timeout, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6
  ))
end
