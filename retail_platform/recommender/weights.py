"""How wide vectors are, and what each thing counts beside the others in a score.

From the published comparison on Online Retail, but for what is said to have been chosen here.
"""

DIMENSIONS = 64
"""Of taste; every vector has one more, for recent popularity."""

CUSTOMER_POPULARITY = 0.02
"""A customer's weight of recent popularity, whatever he bought."""

SESSION_POPULARITY = 0.005
"""A session's weight of recent popularity, for each product in it."""

BASKET_WEIGHT = 0.5
"""Of a basket beside a customer, where sessions are learnt."""

HISTORY_IN_SESSION = 0.3
"""Of what a customer bought beside what he browses."""

BUY_AGAIN = 0.4
"""Of habits, where repeats are allowed."""

BUY_AGAIN_IN_SESSION = 0.2
"""The same within a session; chosen on the four weeks before the test, where .1 was published."""
