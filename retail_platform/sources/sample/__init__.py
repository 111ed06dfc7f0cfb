"""A classicmodels database to learn and test with: generated, or imported from Online Retail."""
