"""The classical maximum-likelihood estimate: does it exist, what is it, how sure is it?"""
