// Sums of products of small tensors, as generators/operators/contract.cpp takes them.
#include <algorithm>
#include <stdexcept>

#include "host.h"
#include "views.h"

namespace upwell {
namespace {

constexpr size_t most_kept = 5, most_summed = 3;

// The extents of letters; those that are kept come first.
struct Letters {
    std::string kept, summed;
    std::vector<int64_t> kept_extents, summed_extents;

    Letters(const Lettered &output, const Lettered &left, const Lettered &right)
        : kept(output.letters), kept_extents(output.tensor.sizes) {
        for (const Lettered *factor : {&left, &right}) {
            for (size_t i = 0; i < factor->letters.size(); i++) {
                const char letter = factor->letters[i];
                if (kept.find(letter) == std::string::npos && summed.find(letter) == std::string::npos) {
                    summed += letter;
                    summed_extents.push_back(factor->tensor.sizes[i]);
                }
            }
        }
        if (kept.size() > most_kept || summed.size() > most_summed) {
            throw std::logic_error("contract: too many letters, " + kept + " and " + summed);
        }
    }
};

// With a dimension for each of the kernel's, outermost first; those that the tensor lacks have stride 0.
Tensor spread(const Lettered &from, const Letters &letters, bool is_factor) {
    const std::vector<int64_t> strides = strides_of(from.tensor);
    if (from.letters.size() != strides.size()) {
        throw std::logic_error("contract: " + from.letters + " should have a letter for each dimension");
    }
    Tensor result{from.tensor.data, from.tensor.dtype, {}, {}};
    const auto add = [&](const std::string &all, const std::vector<int64_t> &extents, size_t most) {
        result.sizes.insert(result.sizes.end(), most - all.size(), 1);
        result.strides.insert(result.strides.end(), most - all.size(), 0);
        for (size_t i = 0; i < all.size(); i++) {
            const size_t own = from.letters.find(all[i]);
            if (own == std::string::npos) {
                result.sizes.push_back(extents[i]);
                result.strides.push_back(0);
                continue;
            }
            const int64_t size = from.tensor.sizes[own];
            const bool may_be_shorter = is_factor && all[i] == letters.kept.back();
            if (size != extents[i] && !(may_be_shorter && size < extents[i])) {
                throw std::logic_error("contract: " + from.letters + " does not fit " + letters.kept + " at " + all[i]);
            }
            result.sizes.push_back(size);
            result.strides.push_back(strides[own]);
        }
    };
    if (is_factor) {
        add(letters.summed, letters.summed_extents, most_summed);
    }
    add(letters.kept, letters.kept_extents, most_kept);
    return result;
}

}  // namespace

void Host::contract(const Lettered &output, const Lettered &left, const Lettered &given, double factor,
                    const Lettered &offset) {
    const Lettered right = given.tensor.data ? given : Lettered{number(one_, 1), ""};
    const Letters letters(output, left, right);
    if (std::find(letters.kept_extents.begin(), letters.kept_extents.end(), 0) != letters.kept_extents.end()) {
        return;
    }
    const Lettered added = offset.tensor.data ? offset : Lettered{number(zero_, 0), ""};
    Tensor a = spread(left, letters, true), b = spread(right, letters, true);
    a.sizes.back() = b.sizes.back() = std::min(a.sizes.back(), b.sizes.back());
    run_kernel("contract", dtype_,
               std::vector<Argument>{a, b, spread(added, letters, false), factor, spread(output, letters, false)},
               queue_);
}

void Host::contract(const Lettered &output, const Lettered &left, double factor, const Lettered &offset) {
    contract(output, left, {}, factor, offset);
}

const Tensor &Host::number(std::optional<Tensor> &kept, double value) {
    if (!kept) {
        kept = table(std::vector{value});
        kept->sizes.clear();
    }
    return *kept;
}

}  // namespace upwell
