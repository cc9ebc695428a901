"""Languages: texts, dates, numbers, names and addresses, the way each reader and writer is used to them."""
