"""The gate for data: what every row is checked for, and the rows that training must leave out."""
