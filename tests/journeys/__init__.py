"""Whole ways through Rapport, in a real browser, on a real server with the sample business."""
