-- What wrk asks for: lines of a file, each a path and a cookie, in an order of each thread's own.
-- wrk -s pages.lua URL -- FILE; the last line that it prints is what came of it, as JSON.

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(arguments)
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

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.3f, "socket": %d, "status": %d, "timeout": %d, "p50": %.6f, "p99": %.6f}\n',
    summary.requests, summary.duration / 1e6, errors.connect + errors.read + errors.write,
    errors.status, errors.timeout, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6
  ))
end
