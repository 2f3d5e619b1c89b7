#include "operators/pcdc_taps.h"

#include "views.h"

namespace upwell::pcdc {

Taps::Taps(Host &host, const Tensor &weight, const Ratio &ratio)
    : host_(host), sizes_(weight.sizes), rows_(spread_axis(sizes_[2], ratio[0], ratio[1])),
      columns_(spread_axis(sizes_[3], ratio[2], ratio[3])) {
    for (const int64_t row : rows_.offsets) {
        for (const int64_t column : columns_.offsets) {
            offsets_.push_back({row, column});
        }
    }
    if (are_whole()) {
        weight_ = reshaped(weight, {sizes_[0], sizes_[1], count()});
        return;
    }
    const Tensor along = host.scratch({sizes_[0], sizes_[1], sizes_[2], columns_.count()});
    weight_ = host.scratch({sizes_[0], sizes_[1], count()});
    host.contract({along, "leko"}, {shares(columns_), "jo"}, {weight, "lekj"});
    host.contract({reshaped(weight_, {sizes_[0], sizes_[1], rows_.count(), columns_.count()}), "lepo"}, {along, "leko"},
                  {shares(rows_), "kp"});
}

void Taps::gather(const Tensor &d_taps, const Tensor &besides, const Tensor &d_weight) const {
    const Host::Scope scope(host_);
    const Lettered result{d_weight, "lekj"};
    if (are_whole()) {
        host_.contract(result, {besides, "le"}, 1, {reshaped(d_taps, sizes_), "lekj"});
        return;
    }
    const Tensor along = host_.scratch({sizes_[0], sizes_[1], sizes_[2], columns_.count()});
    host_.contract({along, "leko"}, {reshaped(d_taps, {sizes_[0], sizes_[1], rows_.count(), columns_.count()}), "lepo"},
                   {shares(rows_), "kp"});
    host_.contract(result, {along, "leko"}, {shares(columns_), "jo"});
    host_.contract(result, {besides, "le"}, 1, result);
}

Tensor Taps::shares(const AxisSpread &axis) const {
    return host_.table(axis.shares, {sizes_[2], axis.count()});
}

}  // namespace upwell::pcdc
