// Parallel loops: on the caller's threads, with the same answer for any number of them, and after fork().
#include <atomic>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "support/catch.h"
#include "support/map.h"

using namespace upwell;
using namespace upwell::test;

namespace {

// Runs a loop on `count` new threads, and says through `used` that it did.
ParallelFor threads(int count, std::atomic<int> &used) {
    return [count, &used](int64_t begin, int64_t end, const Body &body) {
        used++;
        std::vector<std::thread> pool;
        for (int i = 0; i < count; i++) {
            pool.emplace_back([&, i] {
                const int64_t from = begin + (end - begin) * i / count, to = begin + (end - begin) * (i + 1) / count;
                if (from < to) {
                    body(from, to);
                }
            });
        }
        for (std::thread &thread : pool) {
            thread.join();
        }
    };
}

// Puts the runtime's own pool back when a test is done.
struct Pool {
    explicit Pool(ParallelFor pool) {
        set_parallel_for(std::move(pool), [] { return 2; });
    }
    ~Pool() { set_parallel_for({}, {}); }
};

// Whether a child of fork() runs `work` to its end within 20 s.
template<class F> bool child_succeeds(F work) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(work() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("the answer is the same to the last bit for any number of threads", "[threads]") {
    const auto [H, W] = GENERATE(std::pair<int64_t, int64_t>{20, 28}, std::pair<int64_t, int64_t>{13, 16});
    for (const Case &c : cases(H, W)) {
        CAPTURE(c.name, c.parameters.kernel, H, W);
        const std::vector<float> own = run_case<float>(c);
        for (const int count : {1, 2, 3, 7}) {
            std::atomic<int> used{0};
            const Pool pool(threads(count, used));
            CHECK(run_case<float>(c) == own);
        }
    }
}

TEST_CASE("loops run on the caller's threads", "[threads]") {
    std::atomic<int> used{0};
    const Pool pool(threads(2, used));
    run_case<float>(cases(20, 28).front());
    CHECK(used > 0);
}

TEST_CASE("a loop asks for no more parts than there are threads, and one part can do all tasks", "[threads]") {
    const Case c = cases(20, 28).front();
    const std::vector<float> expected = run_case<float>(c);
    int64_t most = 0;
    const Pool pool([&](int64_t begin, int64_t end, const Body &body) {
        most = std::max(most, end - begin);
        body(begin, begin + 1);  // the others find nothing left
        body(begin + 1, end);
    });
    CHECK(run_case<float>(c) == expected);
    CHECK(most == 2);
}

TEST_CASE("an exception of the caller's pool comes back to the caller", "[threads]") {
    {
        const Pool pool([](int64_t, int64_t, const Body &) { throw std::runtime_error("no threads today"); });
        CHECK_THROWS_WITH(run_case<float>(cases(20, 28).front()), "no threads today");
    }
    CHECK_NOTHROW(run_case<float>(cases(20, 28).front()));
}

TEST_CASE("calls from several threads at once do not disturb each other", "[threads]") {
    const std::vector<Case> all = cases(20, 28);
    std::vector<std::vector<float>> expected;
    for (const Case &c : all) {
        expected.push_back(run_case<float>(c));
    }
    std::atomic<int> wrong{0};
    std::vector<std::thread> callers;
    for (int t = 0; t < 4; t++) {
        callers.emplace_back([&, t] {
            for (size_t i = 0; i < all.size(); i++) {
                const size_t j = (i + t * 5) % all.size();
                wrong += run_case<float>(all[j]) != expected[j];
            }
        });
    }
    for (std::thread &caller : callers) {
        caller.join();
    }
    CHECK(wrong == 0);
}

TEST_CASE("a child of fork computes what its parent computes", "[threads]") {
    const Case c = cases(20, 28).front();
    const std::vector<float> expected = run_case<float>(c);  // the pool has its threads now
    CHECK(child_succeeds([&] { return run_case<float>(c) == expected; }));
    SECTION("also when the parent has a pool of its own") {
        std::atomic<int> used{0};
        const Pool pool(threads(2, used));
        CHECK(child_succeeds([&] { return run_case<float>(c) == expected && used == 0; }));
        run_case<float>(c);
        CHECK(used > 0);
    }
    SECTION("and a pool that the child sets is used") {
        CHECK(child_succeeds([&] {
            std::atomic<int> used{0};
            const Pool pool(threads(2, used));
            return run_case<float>(c) == expected && used > 0;
        }));
    }
}
