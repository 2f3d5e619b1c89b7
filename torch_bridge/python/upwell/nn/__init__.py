"""Upsamplers as modules. Each keeps its published call; `make` gives every one the same forward(guide, x)."""

from upwell.explained import explained
from upwell.nn.anyup import AnyUp
from upwell.nn.carafe import CARAFE
from upwell.nn.deconv import Deconv
from upwell.nn.dysample import DySample
from upwell.nn.fade import FADE
from upwell.nn.guided_filter import ColourGuidedFilter, GuidedFilter
from upwell.nn.index_net import (
    DepthwiseM2OIndexBlock,
    DepthwiseO2OIndexBlock,
    HolisticIndexBlock,
    IndexNet,
    index_pool,
    index_unpool,
)
from upwell.nn.interpolate import Bilinear, Nearest
from upwell.nn.jafar import JAFAR
from upwell.nn.jbu import JBULearnedRange, JBUStack
from upwell.nn.lctc import LCTC
from upwell.nn.local_attender import LocalAttender
from upwell.nn.make import make
from upwell.nn.naf import NAF
from upwell.nn.pixel_shuffle import PixelShuffle
from upwell.nn.resfu import ReSFU
from upwell.nn.sapa import SAPA, SAPAExp
from upwell.nn.wrc import WRC
from upwell.nn.wrc_densify import WRCDensify

__all__ = [
    "CARAFE",
    "FADE",
    "JAFAR",
    "LCTC",
    "NAF",
    "SAPA",
    "WRC",
    "WRCDensify",
    "AnyUp",
    "Bilinear",
    "ColourGuidedFilter",
    "Deconv",
    "DepthwiseM2OIndexBlock",
    "DepthwiseO2OIndexBlock",
    "DySample",
    "GuidedFilter",
    "HolisticIndexBlock",
    "IndexNet",
    "JBULearnedRange",
    "JBUStack",
    "LocalAttender",
    "Nearest",
    "PixelShuffle",
    "ReSFU",
    "SAPAExp",
    "index_pool",
    "index_unpool",
    "make",
]

for _module in map(globals().get, __all__):
    if isinstance(_module, type):
        _module.__init__ = explained(_module.__init__, _module.__name__, clear=ValueError)
