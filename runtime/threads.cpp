// Parallel loops on the caller's thread pool, if it has one.
#include "threads.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>

#include <HalideRuntime.h>
#include <pthread.h>

#include "error.h"

namespace upwell {
namespace {

std::atomic<const Pool *> pool{nullptr};

// Threads do not survive fork(): in a child, neither Halide's pool nor one that was set before it has any.
std::atomic<bool> pool_died_in_fork{false};

int run_serially(void *user_context, halide_task_t task, int min, int size, uint8_t *closure) {
    for (int i = min; i < min + size; i++) {
        if (const int status = task(user_context, i, closure)) {
            return status;
        }
    }
    return 0;
}

// Every thread takes the next task that nobody has: a pool that deals tasks out beforehand would wait for the longest
// share.
int run_on_pool(const Pool &mine, void *user_context, halide_task_t task, int min, int size, uint8_t *closure) {
    std::atomic<int> status{0}, next{0};
    try {
        mine.parallel_for(0, std::min<int64_t>(size, mine.count()), [&](int64_t, int64_t) {
            for (int i = next++; i < size; i = next++) {
                const int failed = task(user_context, min + i, closure);
                int none = 0;
                status.compare_exchange_strong(none, failed);
            }
        });
    } catch (...) {
        static_cast<Call *>(user_context)->fail(std::current_exception());
        return halide_error_code_generic_error;
    }
    return status;
}

int do_par_for(void *user_context, halide_task_t task, int min, int size, uint8_t *closure) {
    const Pool *const mine = user_context ? static_cast<Call *>(user_context)->pool : nullptr;
    if (size == 1 || pool_died_in_fork) {  // a loop of one leaves the pool to the loops inside it
        return run_serially(user_context, task, min, size, closure);
    }
    return mine ? run_on_pool(*mine, user_context, task, min, size, closure)
                : halide_default_do_par_for(user_context, task, min, size, closure);
}

}  // namespace

void install_parallel_for() {
    halide_set_custom_do_par_for(do_par_for);
    pthread_atfork(nullptr, nullptr, [] { pool_died_in_fork = true; });
}

const Pool *current_pool() {
    return pool;
}

int64_t thread_count() {
    if (pool_died_in_fork) {
        return 1;
    }
    const Pool *const mine = pool;
    return mine ? mine->count() : halide_get_num_threads();
}

void set_parallel_for(ParallelFor parallel_for, std::function<int64_t()> count) {
    // A replaced pool may still be in use by a call under way, so all of them stay.
    static std::mutex mutex;
    static std::vector<std::unique_ptr<const Pool>> all;
    const std::lock_guard<std::mutex> lock(mutex);
    if (!parallel_for) {
        pool = nullptr;
        return;
    }
    all.push_back(std::make_unique<const Pool>(Pool{std::move(parallel_for), std::move(count)}));
    pool = all.back().get();
    pool_died_in_fork = false;
}

}  // namespace upwell
