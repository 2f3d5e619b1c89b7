"""What an operator costs, by a model: `python -m upwell inspect OPERATOR`. Nothing is run or timed."""
