#include "formula.h"

#include <stdexcept>

namespace upwell {

int Symbols::find(const std::string &name) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    return found == names_.end() ? -1 : static_cast<int>(found - names_.begin());
}

int Symbols::add(const std::string &name) {
    if (const int known = find(name); known >= 0) {
        return known;
    }
    names_.push_back(name);
    return static_cast<int>(names_.size()) - 1;
}

// By recursive descent: sum = product {+ or - product}, product = operand {*, / or % operand}.
class Formula::Parser {
public:
    Parser(const std::string &text, Symbols &symbols, std::vector<Step> &steps)
        : text_(text), symbols_(symbols), steps_(steps) {
        sum();
        if (at_ < text_.size()) {
            fail();
        }
    }

private:
    void sum() {
        product();
        for (;;) {
            if (take('+')) {
                product();
                steps_.push_back({Step::Add});
            } else if (take('-')) {
                product();
                steps_.push_back({Step::Subtract});
            } else {
                return;
            }
        }
    }
    void product() {
        operand();
        for (;;) {
            if (take('*')) {
                operand();
                steps_.push_back({Step::Multiply});
            } else if (take('/')) {
                operand();
                steps_.push_back({Step::Divide});
            } else if (take('%')) {
                operand();
                steps_.push_back({Step::Remainder});
            } else {
                return;
            }
        }
    }
    void operand() {
        if (take('(')) {
            sum();
            expect(')');
            return;
        }
        const std::string word = take_word();
        if (word.empty()) {
            fail();
        }
        if (is_digit(word[0])) {
            steps_.push_back({Step::Number, std::stoll(word)});
        } else if (word == "max") {
            expect('(');
            sum();
            expect(',');
            sum();
            expect(')');
            steps_.push_back({Step::Max});
        } else {
            steps_.push_back({Step::Symbol, symbols_.add(word)});
        }
    }

    static bool is_digit(char c) { return c >= '0' && c <= '9'; }
    static bool is_of_word(char c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    }
    void skip_spaces() {
        while (at_ < text_.size() && text_[at_] == ' ') {
            at_++;
        }
    }
    bool take(char c) {
        skip_spaces();
        const bool is_there = at_ < text_.size() && text_[at_] == c;
        at_ += is_there;
        return is_there;
    }
    void expect(char c) {
        if (!take(c)) {
            fail();
        }
    }
    std::string take_word() {
        skip_spaces();
        const size_t begin = at_;
        while (at_ < text_.size() && is_of_word(text_[at_])) {
            at_++;
        }
        return text_.substr(begin, at_ - begin);
    }
    [[noreturn]] void fail() const {
        throw std::invalid_argument("formula '" + text_ + "' makes no sense at character " + std::to_string(at_ + 1));
    }

    const std::string &text_;
    Symbols &symbols_;
    std::vector<Step> &steps_;
    size_t at_ = 0;
};

Formula::Formula(const std::string &text, Symbols &symbols) {
    Parser(text, symbols, steps_);
    int count = 0;
    for (const Step &step : steps_) {
        count += step.kind == Step::Number || step.kind == Step::Symbol ? 1 : -1;
        if (count > most_operands) {
            throw std::invalid_argument("formula '" + text + "' has too many brackets in each other");
        }
    }
}

}  // namespace upwell
