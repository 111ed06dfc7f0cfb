"""Reading an OLTP database: what it holds, whether it fits the contracts, and its rows."""
