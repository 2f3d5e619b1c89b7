// What tools outside C++ reach in this library by its symbols (ctypes).
#include "upwell.h"

extern "C" void upwell_set_observer(upwell::Observer observer) {
    upwell::set_observer(observer);
}
