// Tables of compiled kernels, looked up by what rows have in common: row.key().
#pragma once

#include <algorithm>
#include <span>
#include <vector>

namespace upwell {

// In the order of their keys; rows of one key stay as they are.
template<class Row> std::vector<Row> sorted_by_key(std::vector<Row> rows) {
    std::stable_sort(rows.begin(), rows.end(), [](const Row &a, const Row &b) { return a.key() < b.key(); });
    return rows;
}

// Those of a sorted table with this key.
template<class Row, class Key> std::span<const Row> rows_with(const std::vector<Row> &sorted, const Key &wanted) {
    const auto first = std::lower_bound(sorted.begin(), sorted.end(), wanted,
                                        [](const Row &row, const Key &value) { return row.key() < value; });
    return {first, std::find_if(first, sorted.end(), [&](const Row &row) { return row.key() != wanted; })};
}

}  // namespace upwell
