"""`upwell densify`: features of a frozen backbone made dense, by any upsampler, trained without labels."""

from upwell.densify.densifier import Densifier, load

__all__ = ["Densifier", "load"]
