"""`upwell densify`: features of a frozen backbone made dense, by any upsampler, trained without labels."""
