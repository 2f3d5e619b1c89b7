// Prints the instruction set of the processor that configures a build: avx512, avx2 or baseline.
#include <cstdio>

#include "runtime/processor.h"

int main() {
    switch (upwell::processor()) {
    case upwell::InstructionSet::Avx512:
        return std::puts("avx512") < 0;
    case upwell::InstructionSet::Avx2:
        return std::puts("avx2") < 0;
    case upwell::InstructionSet::Baseline:
        return std::puts("baseline") < 0;
    }
}
