"""The dashboard over the lakehouse, and a storefront that recommends.

What belongs here: pages. Figures come from `serving`, recommendations from the Lambda's own code or
its URL, events go where `platform` sends them; nothing is kept between requests but what can be
asked again.
"""
