# The windows that are described here, and which kernels of each are compiled where no option says otherwise.
#
# upwell_window(<window> <file> [KERNELS <taps per side>...] [RATIOS <taps per side>:<integer ratio>,......])
#
# KERNELS: of any size; without them there are no weights. RATIOS have kernels of their own; further taps per side get those
# of the last entry.
set(upwell_window_operators "")
set(upwell_window_files "")
macro(upwell_window window file)
    list(APPEND upwell_window_operators ${window})
    list(APPEND upwell_window_files ${file})
    cmake_parse_arguments(upwell_window_${window} "" "" "KERNELS;RATIOS" ${ARGN})
endmacro()

upwell_window(fns fns.cpp KERNELS 3 5 7 RATIOS 3:2,4,8,16 5:2,4,8)
upwell_window(carafe carafe.cpp KERNELS 3 5 7 RATIOS 5:2,4)
upwell_window(carafe_masked carafe.cpp KERNELS 3 5 7)
upwell_window(carafe_reassembly carafe_reassembly.cpp KERNELS 3 5 7 RATIOS 5:2,4)
upwell_window(bilinear interpolate.cpp RATIOS 1:2,4,8)
upwell_window(bicubic interpolate.cpp RATIOS 1:2,4)
upwell_window(nearest interpolate.cpp RATIOS 1:2,4,8)
list(REMOVE_DUPLICATES upwell_window_files)
