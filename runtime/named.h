// What a call names: tensors and options, each taken once.
#pragma once

#include <string>
#include <vector>

#include "upwell.h"

namespace upwell {

// One list behind the other.
inline std::vector<NamedArgument> joined(std::vector<NamedArgument> list, const std::vector<NamedArgument> &more) {
    list.insert(list.end(), more.begin(), more.end());
    return list;
}

class Named {
public:
    Named(const std::string &op, const std::vector<NamedArgument> &arguments) : op_(op), arguments_(arguments) {}

    const std::string &op() const { return op_; }
    const Tensor &tensor(const std::string &name);
    Tensor tensor(const std::string &name, const Tensor &otherwise);
    int64_t integer(const std::string &name);
    int64_t integer(const std::string &name, int64_t otherwise);
    double real(const std::string &name);
    double real(const std::string &name, double otherwise);
    std::string text(const std::string &name, const std::string &otherwise);
    const Fourier &fourier(const std::string &name);

    // Throws unless every argument was asked for.
    void finish() const;

private:
    const Value *find(const std::string &name);
    const Value &take(const std::string &name);
    template<class T> const T &as(const Value &value, const std::string &name, const char *kind) const;

    const std::string &op_;
    const std::vector<NamedArgument> &arguments_;
    std::vector<std::string> asked_;
};

}  // namespace upwell
