#include "arguments.h"

#include <atomic>

#include "device.h"
#include "threads.h"

namespace upwell {

namespace {

std::atomic<Observer> observer{nullptr};

}  // namespace

void set_observer(Observer new_observer) {
    observer = new_observer;
}

Arguments::Arguments(const std::string &name, Dtype dtype, const Queue *queue)
    : name(name), dtype(dtype), call(current_pool(), queue), user_context(&call) {
    pointers.reserve(16);
    pointers.push_back(&user_context);
}

void Arguments::place(Buffer &buffer) {
    if (call.queue) {
        place_on_device(*buffer.get());
    }
    pointers.push_back(buffer.get());
}

void Arguments::add_map(const Tensor &tensor, int64_t groups) {
    place(buffers.emplace_back(tensor, groups));
}

void Arguments::add(const Tensor &tensor) {
    place(buffers.emplace_back(tensor));
}

Arguments::Scalar &Arguments::add_scalar() {
    if (scalar_count == scalars.size()) {
        throw Error(name, "arguments", "should have at most " + std::to_string(scalars.size()) + " numbers");
    }
    return scalars[scalar_count++];
}

void Arguments::add(int64_t integer) {
    pointers.push_back(&(add_scalar().integer = static_cast<int32_t>(integer)));
}

void Arguments::add(double real) {
    if (dtype == Dtype::Float64) {
        pointers.push_back(&(add_scalar().wide = real));
    } else {
        pointers.push_back(&(add_scalar().narrow = static_cast<float>(real)));
    }
}

void Arguments::add_table(const void *data, halide_type_t type, size_t bytes, const std::vector<int64_t> &extents,
                          int64_t min) {
    void *const table = call.queue ? call.queue->upload(data, bytes) : const_cast<void *>(data);
    place(buffers.emplace_back(table, type, extents, min));
}

void Arguments::add_table(const std::vector<int32_t> &table, const std::vector<int64_t> &extents, int64_t min) {
    add_table(table.data(), halide_type_t(halide_type_int, 32), table.size() * sizeof(int32_t), extents, min);
}

void Arguments::add_table(const std::vector<double> &table, const std::vector<float> &narrow,
                          const std::vector<int64_t> &given) {
    const std::vector<int64_t> extents = given.empty() ? std::vector{static_cast<int64_t>(table.size())} : given;
    if (dtype == Dtype::Float64) {
        add_table(table.data(), halide_type(dtype), table.size() * sizeof(double), extents, 0);
    } else {
        add_table(narrow.data(), halide_type(Dtype::Float32), narrow.size() * sizeof(float), extents, 0);
    }
}

void Arguments::run(const char *symbol, CompiledKernel compiled) {
    if (const Observer look_on = observer.load()) {
        look_on(symbol, pointers.data());
    }
    OnDevice on_device(call, buffers);
    call.finish(name, compiled(pointers.data()));
    on_device.finish(name);
}

}  // namespace upwell
