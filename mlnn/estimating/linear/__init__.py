"""The maximum of a (generalised) linear model: does it exist, where is it, how sure is it?"""
