"""Reading an OLTP database: what it holds, whether it fits the contracts, and its rows.

`ordering` alone writes into it, and only for a storefront.
"""
