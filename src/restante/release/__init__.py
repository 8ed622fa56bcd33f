"""Decides what leaves, and sees it through: requests, order, the run, and when to try again."""
