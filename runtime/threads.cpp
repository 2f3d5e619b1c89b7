// Parallel loops on the caller's thread pool, if it has one.
#include "threads.h"

#include <atomic>
#include <memory>
#include <mutex>

#include <HalideRuntime.h>
#include <pthread.h>

#include "error.h"

namespace upwell {
namespace {

std::atomic<const ParallelFor *> pool{nullptr};

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

int run_on_pool(const ParallelFor &parallel_for, void *user_context, halide_task_t task, int min, int size,
                uint8_t *closure) {
    std::atomic<int> status{0};
    try {
        parallel_for(min, int64_t(min) + size, [&](int64_t begin, int64_t end) {
            const int failed = run_serially(user_context, task, int(begin), int(end - begin), closure);
            int none = 0;
            status.compare_exchange_strong(none, failed);
        });
    } catch (...) {
        static_cast<Call *>(user_context)->fail(std::current_exception());
        return halide_error_code_generic_error;
    }
    return status;
}

int do_par_for(void *user_context, halide_task_t task, int min, int size, uint8_t *closure) {
    const ParallelFor *const mine = user_context ? static_cast<Call *>(user_context)->pool : nullptr;
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

const ParallelFor *current_pool() {
    return pool;
}

void set_parallel_for(ParallelFor parallel_for) {
    // A replaced pool may still be in use by a call under way, so all of them stay.
    static std::mutex mutex;
    static std::vector<std::unique_ptr<const ParallelFor>> all;
    const std::lock_guard<std::mutex> lock(mutex);
    if (!parallel_for) {
        pool = nullptr;
        return;
    }
    all.push_back(std::make_unique<const ParallelFor>(std::move(parallel_for)));
    pool = all.back().get();
    pool_died_in_fork = false;
}

}  // namespace upwell
