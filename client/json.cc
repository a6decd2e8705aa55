#include "actioncluster/json.h"

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace actioncluster::client {
namespace {

using google::protobuf::ListValue;
using google::protobuf::Struct;
using google::protobuf::Value;
using Json = nlohmann::json;

// Up to here every integer is a double.
constexpr double kExact = 9007199254740992;
// What nodes take, and the array that holds a call's arguments.
constexpr size_t kMaxNesting = 33;

// Makes a Value of what the parser finds; false ends the parsing.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(Value* root) : root_(root) {}

  const std::string& fault() const { return fault_; }

  bool null() override {
    Next()->set_null_value(google::protobuf::NULL_VALUE);
    return true;
  }
  bool boolean(bool truth) override {
    Next()->set_bool_value(truth);
    return true;
  }
  bool number_integer(number_integer_t number) override { return Number(static_cast<double>(number)); }
  bool number_unsigned(number_unsigned_t number) override { return Number(static_cast<double>(number)); }
  bool number_float(number_float_t number, const string_t&) override { return Number(number); }
  bool string(string_t& text) override {
    Next()->set_string_value(std::move(text));
    return true;
  }
  bool binary(binary_t&) override { return false; }  // JSON has none.

  bool start_object(size_t) override {
    Value* const object = Next();
    object->mutable_struct_value();
    return Open(object);
  }
  bool key(string_t& name) override {
    name_ = std::move(name);
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override {
    Value* const array = Next();
    array->mutable_list_value();
    return Open(array);
  }
  bool end_array() override { return Close(); }

  bool parse_error(size_t, const std::string&, const Json::exception& error) override {
    // Behind the name of the exception's class, in brackets.
    const absl::string_view text = error.what();
    fault_ = std::string(text.substr(text.find("] ") + 2));
    return false;
  }

 private:
  bool Number(double number) {
    Next()->set_number_value(number);
    return true;
  }
  bool Open(Value* container) {
    open_.push_back(container);
    if (open_.size() <= kMaxNesting) return true;
    fault_ = "it is nested too deep";
    return false;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }
  // Where the next value belongs. Of two fields with one name the last counts.
  Value* Next() {
    if (open_.empty()) return root_;
    if (open_.back()->has_list_value()) return open_.back()->mutable_list_value()->add_values();
    Value* const field = &(*open_.back()->mutable_struct_value()->mutable_fields())[name_];
    field->Clear();
    return field;
  }

  Value* const root_;
  std::vector<Value*> open_;
  std::string name_;
  std::string fault_;
};

Json ToNumber(double number) {
  if (!std::isfinite(number)) return nullptr;  // JSON has no other word for it.
  if (std::fabs(number) <= kExact && number == std::floor(number)) return static_cast<int64_t>(number);
  return number;
}

Json ToTree(const Value& value);

Json ToTree(const ListValue& values) {
  Json array = Json::array();
  for (const Value& value : values.values()) array.push_back(ToTree(value));
  return array;
}

Json ToTree(const Struct& object) {
  Json fields = Json::object();
  for (const auto& [name, value] : object.fields()) fields[name] = ToTree(value);
  return fields;
}

Json ToTree(const Value& value) {
  switch (value.kind_case()) {
    case Value::kStructValue:
      return ToTree(value.struct_value());
    case Value::kListValue:
      return ToTree(value.list_value());
    case Value::kStringValue:
      return value.string_value();
    case Value::kNumberValue:
      return ToNumber(value.number_value());
    case Value::kBoolValue:
      return value.bool_value();
    case Value::kNullValue:
    case Value::KIND_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

std::string ToText(const Json& tree) {
  return tree.dump(/*indent=*/-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace

absl::StatusOr<Value> ParseJson(absl::string_view text) {
  Value value;
  Builder builder(&value);
  // The parser would take a NUL for the end.
  if (text.find('\0') != absl::string_view::npos) return absl::InvalidArgumentError("no JSON: it has a NUL byte");
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return absl::InvalidArgumentError(absl::StrCat("no JSON: ", builder.fault()));
  }
  return value;
}

absl::StatusOr<ListValue> ParseArgs(absl::string_view text) {
  absl::StatusOr<Value> value = ParseJson(text);
  if (!value.ok()) return value.status();
  if (!value->has_list_value()) return absl::InvalidArgumentError("arguments are a JSON array, as in [\"hi\", 3]");
  return std::move(*value->mutable_list_value());
}

std::string ToJson(const Value& value) { return ToText(ToTree(value)); }

std::string ToJson(const ListValue& values) { return ToText(ToTree(values)); }

Value ToValue(absl::string_view text) {
  Value value;
  value.set_string_value(std::string(text));
  return value;
}

Value ToValue(const char* text) { return ToValue(absl::string_view(text)); }

Value ToValue(Value value) { return value; }

}  // namespace actioncluster::client
