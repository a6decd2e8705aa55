#include "backplane/redis/command.h"

#include <hiredis/hiredis.h>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::redis {
namespace {

template <class Args>
std::string Format(const Args& args) {
  std::vector<const char*> data;
  std::vector<size_t> sizes;
  data.reserve(args.size());
  sizes.reserve(args.size());
  for (const absl::string_view arg : args) {
    data.push_back(arg.data() == nullptr ? "" : arg.data());
    sizes.push_back(arg.size());
  }
  char* formatted = nullptr;
  const int size = redisFormatCommandArgv(&formatted, static_cast<int>(data.size()), data.data(), sizes.data());
  CHECK_GE(size, 0) << "out of memory";
  std::string wire(formatted, static_cast<size_t>(size));
  redisFreeCommand(formatted);
  return wire;
}

}  // namespace

Command::Command(std::initializer_list<absl::string_view> args) : wire_(Format(args)) {}

Command::Command(const std::vector<std::string>& args) : wire_(Format(args)) {}

Command Command::Call(const Script& script, const std::vector<std::string>& keys,
                      const std::vector<std::string>& args) {
  const std::string key_count = absl::StrCat(keys.size());
  std::vector<absl::string_view> all = {"EVALSHA", script.sha1, key_count};
  all.insert(all.end(), keys.begin(), keys.end());
  all.insert(all.end(), args.begin(), args.end());
  Command command;
  command.wire_ = Format(all);
  command.is_script_ = true;
  command.is_durable_ = script.durable;
  return command;
}

}  // namespace actioncluster::redis
