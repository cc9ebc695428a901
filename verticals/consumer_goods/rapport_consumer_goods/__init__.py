"""Consumer goods: makers who sell through retailers and know the people who use what they make.

All of it is data so far: the folder `edition` beside this file.
"""
