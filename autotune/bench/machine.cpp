// Peak rate of fused multiply-adds on this machine: what no kernel can exceed.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

// A multiply-add takes about 4 cycles and a core starts 2 of them per cycle, so 8 chains keep it busy; with 12 chains
// and 2 constants all still live in the 16 vector registers of a machine without AVX-512.
constexpr int chains = 12;
constexpr long steps = 4'000'000;  // some tens of milliseconds
constexpr int repeats = 5;

template<typename T> T run_chains() {
    typedef T Vector __attribute__((vector_size(vector_bytes)));
    Vector decay = Vector{} + T(0.5), rise = Vector{} + T(1);
    asm volatile("" : "+x"(decay), "+x"(rise));  // constants that the compiler cannot fold
    Vector sum[chains];
    for (int i = 0; i < chains; i++) {
        sum[i] = Vector{} + T(i);
    }
    for (long step = 0; step < steps; step++) {
#pragma GCC unroll 12
        for (int i = 0; i < chains; i++) {
            sum[i] = sum[i] * decay + rise;
        }
    }
    for (int i = 1; i < chains; i++) {
        sum[0] += sum[i];
    }
    return sum[0][0];
}

// Seconds from the common start until the last thread is done.
template<typename T> double seconds_on(int threads) {
    std::atomic<int> ready{0};
    std::atomic<bool> go{false};
    std::vector<T> results(threads);  // used, so that the chains are not optimised away
    std::vector<std::thread> team;
    for (int i = 0; i < threads; i++) {
        team.emplace_back([&, i] {
            ready++;
            while (!go) {
                std::this_thread::yield();
            }
            results[i] = run_chains<T>();
        });
    }
    while (ready < threads) {
        std::this_thread::yield();
    }
    const auto start = std::chrono::steady_clock::now();
    go = true;
    for (auto &thread : team) {
        thread.join();
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template<typename T> double peak(int threads) {
    const double multiply_adds = double(steps) * chains * (vector_bytes / sizeof(T)) * threads;
    double best = 0;
    for (int i = 0; i < repeats; i++) {
        const double rate = multiply_adds / seconds_on<T>(threads);
        best = rate > best ? rate : best;
    }
    return best;
}

}  // namespace

// Multiply-adds per second on that many threads.
extern "C" double upwell_multiply_add_peak_float32(int threads) {
    return peak<float>(threads);
}
extern "C" double upwell_multiply_add_peak_float64(int threads) {
    return peak<double>(threads);
}
