// What goes wrong inside a kernel, carried out of it: generated code cannot be unwound, so nothing throws through it.
#pragma once

#include <exception>
#include <mutex>
#include <string>
#include <vector>

#include "scratch.h"
#include "upwell.h"

namespace upwell {

struct Pool;

// The user_context of one run: what its error handler and its parallel loops need to know.
class Call {
public:
    Call(const Pool *pool, const Queue *queue) : pool(pool), queue(queue) {}

    const Pool *const pool;    // null: the runtime's own
    const Queue *const queue;  // null: host memory
    Scratch scratch;

    void fail(const std::string &message);                   // keeps the first
    void fail(std::exception_ptr exception);                 // keeps the first
    void finish(const std::string &name, int status) const;  // throws what failed

private:
    std::mutex mutex;
    std::string message;
    std::exception_ptr exception;
};

// Everything that a process needs before its first call, once: error handler, instruction set, threads.
void install_once();

// Installs the handler that gives Halide's messages to the Call they belong to.
void install_error_handler();

std::string format(const std::vector<int64_t> &sizes);  // [2, 9, 8, 8]

}  // namespace upwell
