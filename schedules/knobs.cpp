#include "schedules/knobs.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace upwell {

namespace {

std::string list_of(const std::vector<int> &values) {
    std::string list;
    for (const int value : values) {
        list += (list.empty() ? "" : ", ") + std::to_string(value);
    }
    return list;
}

}  // namespace

void Space::add(const Knob &knob, std::string meaning, int hand, std::vector<int> values) {
    values.push_back(hand);
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    const int chosen = knob;
    entries.push_back({knob.name(), std::move(meaning), std::move(values), hand, chosen == 0 ? hand : chosen});
}

void Space::require(std::string text, std::function<bool(const Space &)> holds) {
    rules.push_back({std::move(text), std::move(holds)});
}

const Space::Entry *Space::find(const Knob &knob) const {
    const auto has_its_name = [&](const Entry &entry) { return entry.name == knob.name(); };
    const auto found = std::find_if(entries.begin(), entries.end(), has_its_name);
    return found == entries.end() ? nullptr : &*found;
}

int Space::operator[](const Knob &knob) const {
    if (const Entry *entry = find(knob)) {
        return entry->value;
    }
    throw std::logic_error("the knob " + knob.name() + " is not in this kernel's space");
}

const Space::Rule *Space::broken_rule() const {
    for (const Rule &rule : rules) {
        if (!rule.holds(*this)) {
            return &rule;
        }
    }
    return nullptr;
}

void Space::settle(const Knobs &knobs) const {
    for (const Knob *knob : knobs.all) {
        if (*knob != 0 && !find(*knob)) {
            throw std::invalid_argument("this kernel has no knob " + knob->name() + " on this target");
        }
    }
    std::string values;
    for (const Entry &entry : entries) {
        if (std::find(entry.values.begin(), entry.values.end(), entry.value) == entry.values.end()) {
            throw std::invalid_argument(entry.name + " should be one of " + list_of(entry.values) + " but is " +
                                        std::to_string(entry.value));
        }
        values += " " + entry.name + "=" + std::to_string(entry.value);
    }
    if (const Rule *broken = broken_rule()) {
        throw std::invalid_argument("broken rule: " + broken->text + " (with" + values + ")");
    }
    const std::string &file = knobs.space_file.value();
    if (!file.empty()) {
        write(file);
    }
}

// {"knobs": [{"name", "meaning", "values", "hand"}], "rules": [text], "legal": [[index of each knob's value]]}
void Space::write(const std::string &file) const {
    std::ostringstream json;
    json << "{\"knobs\": [";
    for (const Entry &entry : entries) {
        json << (&entry == &entries.front() ? "" : ",") << "\n  {\"name\": \"" << entry.name << "\", \"meaning\": \""
             << entry.meaning << "\", \"values\": [" << list_of(entry.values) << "], \"hand\": " << entry.hand << "}";
    }
    json << "],\n \"rules\": [";
    for (const Rule &rule : rules) {
        json << (&rule == &rules.front() ? "" : ",") << "\n  \"" << rule.text << "\"";
    }
    json << "],\n \"legal\": [";
    std::vector<int> place(entries.size(), 0);
    Space trial = *this;
    for (bool first = true, more = true; more;) {
        for (size_t k = 0; k < entries.size(); k++) {
            trial.entries[k].value = entries[k].values[place[k]];
        }
        if (!trial.broken_rule()) {
            json << (first ? "" : ",") << "\n  [" << list_of(place) << "]";
            first = false;
        }
        more = false;
        for (size_t k = 0; k < entries.size() && !more; k++) {  // the next combination
            place[k] = (place[k] + 1) % int(entries[k].values.size());
            more = place[k] != 0;
        }
    }
    json << "]}\n";
    std::ofstream out(file);
    out << json.str();
    if (!out.flush()) {
        throw std::runtime_error("cannot write " + file);
    }
}

}  // namespace upwell
