// The test runner of Catch2 version 2.
#define CATCH_CONFIG_MAIN
#include "catch.h"
