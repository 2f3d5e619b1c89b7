// A kernel in the form of Halide's: y = 2 x. BEHAVIOUR says what it does instead, and WORK how long it takes.
#include <HalideRuntime.h>

#include <cmath>
#include <csignal>
#include <cstring>
#include <ctime>
#include <limits>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

#define RIGHT 1
#define WRONG 2
#define CRASH 3
#define HANG 4
#define UNWRITTEN 5
#define NOT_A_NUMBER 6
#define SLOW_ELSEWHERE 8

namespace {

// For so many microseconds of this thread's time.
void work(long microseconds) {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    const long end = now.tv_sec * 1000000 + now.tv_nsec / 1000 + microseconds;
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    } while (now.tv_sec * 1000000 + now.tv_nsec / 1000 < end);
}

halide_filter_argument_t argument(const char *name, int kind) {
    halide_filter_argument_t a{};
    a.name = name;
    a.kind = kind;
    a.dimensions = 1;
    a.type = halide_type_t(halide_type_float, sizeof(NUMBER) * 8, 1);
    return a;
}

}  // namespace

extern "C" int JOIN(SYMBOL, _argv)(void **arguments) {
    const auto *x = static_cast<halide_buffer_t *>(arguments[0]);
    const auto *y = static_cast<halide_buffer_t *>(arguments[1]);
    const auto *from = reinterpret_cast<const NUMBER *>(x->host);
    auto *to = reinterpret_cast<NUMBER *>(y->host);
    // A schedule may suit the size that it was tuned at, and no other.
    work(BEHAVIOUR == SLOW_ELSEWHERE && y->dim[0].extent != 100 ? 10 * WORK : WORK);
    for (int i = 0; i < y->dim[0].extent; i++) {
        to[i] = 2 * from[i];
    }
    if (BEHAVIOUR == WRONG) {
        to[0] += 1;
    } else if (BEHAVIOUR == CRASH) {
        std::raise(SIGSEGV);
    } else if (BEHAVIOUR == HANG) {
        for (volatile bool on = true; on;) {
        }
    } else if (BEHAVIOUR == UNWRITTEN) {
        std::memset(&to[1], 0xff, sizeof(NUMBER));
    } else if (BEHAVIOUR == NOT_A_NUMBER) {
        to[2] = std::numeric_limits<NUMBER>::quiet_NaN();
    }
    return 0;
}

extern "C" const halide_filter_metadata_t *JOIN(SYMBOL, _metadata)() {
    static const halide_filter_argument_t list[] = {argument("x", 1), argument("y", 2)};
    static const halide_filter_metadata_t metadata{1, 2, list, "", "toy"};
    return &metadata;
}
