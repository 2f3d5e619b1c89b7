#include "named.h"

#include <algorithm>

namespace upwell {

const Tensor &Named::tensor(const std::string &name) {
    return as<Tensor>(take(name), name, "a tensor");
}

Tensor Named::tensor(const std::string &name, const Tensor &otherwise) {
    const Value *value = find(name);
    return value ? as<Tensor>(*value, name, "a tensor") : otherwise;
}

int64_t Named::integer(const std::string &name) {
    return as<int64_t>(take(name), name, "an integer");
}

int64_t Named::integer(const std::string &name, int64_t otherwise) {
    const Value *value = find(name);
    return value ? as<int64_t>(*value, name, "an integer") : otherwise;
}

double Named::real(const std::string &name) {
    return as<double>(take(name), name, "a real number");
}

double Named::real(const std::string &name, double otherwise) {
    const Value *value = find(name);
    return value ? as<double>(*value, name, "a real number") : otherwise;
}

std::string Named::text(const std::string &name, const std::string &otherwise) {
    const Value *value = find(name);
    return value ? as<std::string>(*value, name, "a text") : otherwise;
}

const Fourier &Named::fourier(const std::string &name) {
    const Fourier &transforms = as<Fourier>(take(name), name, "Fourier transforms");
    if (!transforms.forward || !transforms.back) {
        throw Error(op_, name, "should have forward and back");
    }
    return transforms;
}

void Named::finish() const {
    for (const NamedArgument &argument : arguments_) {
        if (std::find(asked_.begin(), asked_.end(), argument.name) == asked_.end()) {
            std::string known;
            for (const std::string &name : asked_) {
                known += (known.empty() ? "" : ", ") + name;
            }
            throw Error(op_, "", "has no argument '" + argument.name + "'; it takes " + known);
        }
    }
}

const Value *Named::find(const std::string &name) {
    asked_.push_back(name);
    const Value *found = nullptr;
    for (const NamedArgument &argument : arguments_) {
        if (argument.name == name && found) {
            throw Error(op_, name, "is given twice");
        }
        found = argument.name == name ? &argument.value : found;
    }
    return found;
}

const Value &Named::take(const std::string &name) {
    if (const Value *value = find(name)) {
        return *value;
    }
    throw Error(op_, name, "is missing");
}

template<class T> const T &Named::as(const Value &value, const std::string &name, const char *kind) const {
    if (const T *own = std::get_if<T>(&value)) {
        return *own;
    }
    throw Error(op_, name, std::string("should be ") + kind);
}

}  // namespace upwell
