#include "server/connections/proto_value.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <string>

#include "absl/strings/escaping.h"

namespace actioncluster {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Value;

Value Text(std::string text) {
  Value value;
  value.set_string_value(std::move(text));
  return value;
}

Value Number(double number) {
  Value value;
  value.set_number_value(number);
  return value;
}

// The types that have a JSON form of their own: struct's, Timestamp and Duration.
Value WellKnown(const Message& message) {
  std::string json;
  Value value;
  if (google::protobuf::util::MessageToJsonString(message, &json).ok()) {
    (void)google::protobuf::util::JsonStringToMessage(json, &value);
  }
  return value;
}

// One value of a field; `index`: -1, or which of a repeated field.
Value FieldToValue(const Message& message, const FieldDescriptor& field, int index) {
  const google::protobuf::Reflection& read = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return Number(one ? read.GetInt32(message, &field) : read.GetRepeatedInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_INT64:
      return Number(
          static_cast<double>(one ? read.GetInt64(message, &field) : read.GetRepeatedInt64(message, &field, index)));
    case FieldDescriptor::CPPTYPE_UINT32:
      return Number(one ? read.GetUInt32(message, &field) : read.GetRepeatedUInt32(message, &field, index));
    case FieldDescriptor::CPPTYPE_UINT64:
      return Number(
          static_cast<double>(one ? read.GetUInt64(message, &field) : read.GetRepeatedUInt64(message, &field, index)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Number(one ? read.GetDouble(message, &field) : read.GetRepeatedDouble(message, &field, index));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Number(one ? read.GetFloat(message, &field) : read.GetRepeatedFloat(message, &field, index));
    case FieldDescriptor::CPPTYPE_BOOL: {
      Value value;
      value.set_bool_value(one ? read.GetBool(message, &field) : read.GetRepeatedBool(message, &field, index));
      return value;
    }
    case FieldDescriptor::CPPTYPE_ENUM:
      return Text((one ? read.GetEnum(message, &field) : read.GetRepeatedEnum(message, &field, index))->name());
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string text = one ? read.GetString(message, &field) : read.GetRepeatedString(message, &field, index);
      return Text(field.type() == FieldDescriptor::TYPE_BYTES ? absl::Base64Escape(text) : std::move(text));
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return MessageToValue(one ? read.GetMessage(message, &field) : read.GetRepeatedMessage(message, &field, index));
  }
  return {};
}

Value MapToValue(const Message& message, const FieldDescriptor& field) {
  const google::protobuf::Reflection& read = *message.GetReflection();
  Value value;
  auto& fields = *value.mutable_struct_value()->mutable_fields();
  for (int i = 0; i < read.FieldSize(message, &field); ++i) {
    const Message& entry = read.GetRepeatedMessage(message, &field, i);
    const google::protobuf::Descriptor& type = *entry.GetDescriptor();
    fields[entry.GetReflection()->GetString(entry, type.map_key())] = FieldToValue(entry, *type.map_value(), -1);
  }
  return value;
}

Value RepeatedToValue(const Message& message, const FieldDescriptor& field) {
  Value value;
  google::protobuf::ListValue& list = *value.mutable_list_value();
  const int size = message.GetReflection()->FieldSize(message, &field);
  for (int i = 0; i < size; ++i) *list.add_values() = FieldToValue(message, field, i);
  return value;
}

}  // namespace

Value MessageToValue(const Message& message) {
  const google::protobuf::Descriptor& type = *message.GetDescriptor();
  if (type.file()->package() == "google.protobuf") return WellKnown(message);
  Value value;
  auto& fields = *value.mutable_struct_value()->mutable_fields();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (field.is_map()) {
      fields[field.name()] = MapToValue(message, field);
    } else if (field.is_repeated()) {
      fields[field.name()] = RepeatedToValue(message, field);
    } else if (!field.has_presence() || message.GetReflection()->HasField(message, &field)) {
      fields[field.name()] = FieldToValue(message, field, -1);
    }
  }
  return value;
}

}  // namespace actioncluster
