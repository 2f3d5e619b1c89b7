// The last few values that were asked for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace upwell {

// Thread-safe. While another thread looks, a value is made and not kept: nobody waits, and a fork() taken at that
// moment leaves no lock behind that its child would wait for.
template<class Key, class Value> class Cache {
public:
    explicit Cache(size_t most) : most_(most) {}

    template<class Make> std::shared_ptr<const Value> get(const Key &key, Make make) {
        if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) {
            if (const auto found = entries_.find(key); found != entries_.end()) {
                found->second.used = ++clock_;
                return found->second.value;
            }
        }
        const auto value = std::make_shared<const Value>(make());
        if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) {
            entries_[key] = {value, ++clock_};
            if (entries_.size() > most_) {
                entries_.erase(std::min_element(entries_.begin(), entries_.end(), [](const auto &a, const auto &b) {
                    return a.second.used < b.second.used;
                }));
            }
        }
        return value;
    }

private:
    struct Entry {
        std::shared_ptr<const Value> value;
        uint64_t used;
    };

    const size_t most_;
    std::mutex mutex_;
    std::map<Key, Entry> entries_;
    uint64_t clock_ = 0;
};

}  // namespace upwell
