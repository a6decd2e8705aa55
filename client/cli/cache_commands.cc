#include "client/cli/cache_commands.h"

#include <memory>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "client/cli/cache_session.h"
#include "client/cli/task_text.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using client::Cache;
using google::protobuf::Duration;
using google::protobuf::Timestamp;

using OptionsPtr = std::shared_ptr<CacheOptions>;

// Sets a field if the option is given.
template <class MutableField>
absl::Status SetLength(const std::string& text, absl::string_view option, MutableField mutable_field) {
  if (text.empty()) return absl::OkStatus();
  const absl::StatusOr<absl::Duration> length = ParseLength(text, option);
  if (length.ok()) *mutable_field() = ToProto(*length);
  return length.status();
}

template <class Request>
absl::Status SetExpireAfter(const CacheOptions& options, Request& request) {
  return SetLength(options.expire_after, "--expire-after", [&] { return request.mutable_expire_after(); });
}

template <class Request>
absl::Status SetContent(const CacheOptions& options, Request& request) {
  absl::StatusOr<AnyContent> content = ReadContent(options.content, "JSON");
  if (!content.ok()) return content.status();
  if (auto* const data = std::get_if<std::string>(&*content)) request.set_data(std::move(*data));
  if (auto* const value = std::get_if<google::protobuf::Value>(&*content)) *request.mutable_value() = std::move(*value);
  return absl::OkStatus();
}

// A key with the content, the expiry and the claim that go with it.
template <class Request>
absl::StatusOr<Request> MakeChange(const CacheOptions& options) {
  Request request;
  request.set_key(options.key);
  request.set_holder(options.holder);
  request.set_token(options.token);
  absl::Status fault = SetExpireAfter(options, request);
  if constexpr (requires { request.mutable_value(); }) fault.Update(SetContent(options, request));
  if (!fault.ok()) return fault;
  return request;
}

// Content alone on standard output.
template <class Message>
void PrintContent(const Message& message, bool raw, Console& console) {
  if (console.json()) {
    console.WriteLine(ToJsonLine(message));
  } else if (message.has_data()) {
    PrintBytes(message.data(), raw, console);
  } else {
    PrintResult(message.value(), raw, console);
  }
}

absl::Status Get(const CacheOptions& options, const Session& session) {
  const absl::StatusOr<v1::LoadRequest> request = MakeLoad(options);
  if (!request.ok()) return request.status();
  return WithCache(session, [&](Cache& cache) -> absl::Status {
    const absl::StatusOr<v1::LoadResponse> entry = cache.Load(*request);
    if (!entry.ok()) return entry.status();
    PrintContent(*entry, options.raw, session.console);
    return absl::OkStatus();
  });
}

absl::Status Set(const CacheOptions& options, const Session& session) {
  if (options.version.has_value()) {
    const absl::StatusOr<v1::CompareAndSaveRequest> request = MakeCompareAndSave(options);
    if (!request.ok()) return request.status();
    return CallAndShow(
        session, *request, &Cache::CompareAndSave,
        +[](const v1::CompareAndSaveResponse& saved) { return absl::StrCat("saved, version ", saved.version()); });
  }
  const absl::StatusOr<v1::SaveRequest> request = MakeSave(options);
  if (!request.ok()) return request.status();
  return CallAndShow(
      session, *request, &Cache::Save, +[](const v1::SaveResponse& saved) {
        return absl::StrCat(saved.replaced() ? "replaced" : "saved", ", version ", saved.version());
      });
}

absl::Status Lock(const CacheOptions& options, const Session& session) {
  const absl::StatusOr<v1::LockRequest> request = MakeLock(options);
  if (!request.ok()) return request.status();
  return WithCache(session, [&](Cache& cache) -> absl::Status {
    const absl::StatusOr<v1::LockResponse> lock = cache.Lock(*request);
    if (!lock.ok()) return lock.status();
    Console& console = session.console;
    if (console.json()) {
      console.WriteLine(ToJsonLine(*lock));
    } else if (lock->acquired()) {
      console.WriteLine(absl::StrCat(lock->token()));
    }
    if (lock->acquired()) return absl::OkStatus();
    return absl::AbortedError(lock->held_by().empty() ? "another's turn has come"
                                                      : absl::StrCat("the lock is held by ", lock->held_by()));
  });
}

std::string DescribeLock(const v1::CheckLockResponse& lock) {
  if (lock.held_by().empty()) return "nobody has it";
  return absl::StrCat("held by ", Escape(lock.held_by()), " until ",
                      FormatInstant(lock.has_expires_at(), lock.expires_at()));
}

absl::Status Pop(const CacheOptions& options, const Session& session) {
  const absl::StatusOr<v1::PopRequest> request = MakePop(options);
  if (!request.ok()) return request.status();
  return WithCache(session, [&](Cache& cache) -> absl::Status {
    const absl::StatusOr<v1::PopResponse> item = cache.Pop(*request);
    if (!item.ok()) return item.status();
    if (item->content_case() == v1::PopResponse::CONTENT_NOT_SET) return absl::NotFoundError("the list is empty");
    PrintContent(*item, options.raw, session.console);
    return absl::OkStatus();
  });
}

// The argument and the options, for those that take them.

CLI::App* AddKeyed(CommandTree& tree, CLI::App* cache, const CommandSpec& spec, const OptionsPtr& options,
                   absl::Status (*run)(const CacheOptions&, const Session&)) {
  CLI::App* const app =
      tree.AddCommand(cache, spec, [options, run](const Session& session) { return run(*options, session); });
  app->add_option("KEY", options->key, "The key")->required()->type_name("");
  return app;
}

void AddExpireAfter(CLI::App* app, const OptionsPtr& options, const std::string& meaning) {
  app->add_option("--expire-after", options->expire_after, meaning)->option_text("TIME");
}

void AddHolder(CLI::App* app, const OptionsPtr& options) {
  app->add_option("--holder", options->holder, "In whose name, if the key may be locked")->option_text("NAME");
}

void AddClaim(CLI::App* app, const OptionsPtr& options) {
  AddHolder(app, options);
  app->add_option("--token", options->token, "The lock that this relies on, as cache lock has printed it")
      ->option_text("N");
}

void AddRaw(CLI::App* app, const OptionsPtr& options) {
  app->add_flag("--raw", options->raw, "Print a string without its quotes, and bytes also on a terminal as they are");
}

void AddGetCommand(CommandTree& tree, CLI::App* cache) {
  const auto options = std::make_shared<CacheOptions>();
  CLI::App* const app = AddKeyed(
      tree, cache,
      {.name = "get",
       .meaning = "Print a key's value",
       .example = "actioncluster cache get greeting",
       .details = "As JSON in one line; bytes as they are (on a terminal escaped). With --json: {\"value\": any JSON | "
                  "\"data\":\n"
                  "BASE64, \"created_at\", \"expires_at\", \"version\": STRING, \"read_at\", \"near\"}.\n"},
      options, &Get);
  AddExpireAfter(app, options, "It expires after this, from now; else as it was set to");
  AddHolder(app, options);
  app->add_option("--wait", options->wait, "If another has the lock, how long to wait for its end")
      ->option_text("TIME");
  app->add_flag("--track-reads", options->track_reads, "Note the time of this read, and say that of the one before");
  app->add_flag("--near", options->near, "What the node has in its own memory will do");
  AddRaw(app, options);
}

void AddSetCommand(CommandTree& tree, CLI::App* cache) {
  const auto options = std::make_shared<CacheOptions>();
  CLI::App* const app =
      AddKeyed(tree, cache,
               {.name = "set",
                .meaning = "Set a key's value",
                .example = R"(actioncluster cache set greeting '"hello"' --expire-after 1h)",
                .details = "With --json: {\"replaced\", \"version\": STRING}; with --version only the latter.\n"},
               options, &Set);
  AddContentOptions(app, "JSON", "The value: any JSON", &options->content);
  AddExpireAfter(app, options, "After this it is gone; by default never");
  AddClaim(app, options);
  app->add_option("--version", options->version, "Only if the value still is this version; 0: only if there is none")
      ->option_text("N");
}

void AddDeleteCommand(CommandTree& tree, CLI::App* cache) {
  const auto options = std::make_shared<CacheOptions>();
  CLI::App* const app =
      AddKeyed(tree, cache,
               {.name = "delete",
                .meaning = "Remove a key's value",
                .example = "actioncluster cache delete greeting",
                .details = "With --json: {\"destroyed\"}.\n"},
               options, [](const CacheOptions& given, const Session& session) {
                 v1::DestroyRequest request;
                 request.set_key(given.key);
                 request.set_holder(given.holder);
                 request.set_token(given.token);
                 return CallAndShow(
                     session, request, &Cache::Destroy, +[](const v1::DestroyResponse& response) -> std::string {
                       return response.destroyed() ? "deleted" : "there was none";
                     });
               });
  AddClaim(app, options);
}

void AddIncrementCommand(CommandTree& tree, CLI::App* cache) {
  const auto options = std::make_shared<CacheOptions>();
  CLI::App* const app =
      AddKeyed(tree, cache,
               {.name = "increment",
                .meaning = "Add to a key's value, and print the sum",
                .example = "actioncluster cache increment visits",
                .details = "To subtract: cache increment visits -- -1. With --json: {\"value\": STRING, \"version\": "
                           "STRING}.\n"},
               options, [](const CacheOptions& given, const Session& session) -> absl::Status {
                 const absl::StatusOr<v1::IncrementRequest> request = MakeIncrement(given);
                 if (!request.ok()) return request.status();
                 return CallAndShow(
                     session, *request, &Cache::Increment,
                     +[](const v1::IncrementResponse& sum) { return absl::StrCat(sum.value()); });
               });
  app->add_option("BY", options->by, "How much; by default 1")->type_name("");
  AddExpireAfter(app, options, "If there was no value, it is gone after this; by default never");
  AddClaim(app, options);
}

void AddLockCommands(CommandTree& tree, CLI::App* cache) {
  const auto locked = std::make_shared<CacheOptions>();
  CLI::App* const lock =
      AddKeyed(tree, cache,
               {.name = "lock",
                .meaning = "Take the lock on a key, or renew it, and print its token",
                .example = "actioncluster cache lock greeting --holder me --wait 10s",
                .details = "If another has it the exit status is 9. With --json: {\"acquired\", \"token\": STRING, "
                           "\"expires_at\", \"held_by\"}.\n"},
               locked, &Lock);
  lock->add_option("--holder", locked->holder, "In whose name: whoever says the same has the lock too")
      ->required()
      ->option_text("NAME");
  AddExpireAfter(lock, locked, "For how long; by default 10s");
  lock->add_option("--wait", locked->wait, "If another has it, how long to wait in line; by default not at all")
      ->option_text("TIME");

  const auto unlocked = std::make_shared<CacheOptions>();
  CLI::App* const unlock =
      AddKeyed(tree, cache,
               {.name = "unlock",
                .meaning = "Give the lock on a key up",
                .example = "actioncluster cache unlock greeting --holder me",
                .details = "With --json: {\"released\"}.\n"},
               unlocked, [](const CacheOptions& given, const Session& session) {
                 v1::UnlockRequest request;
                 request.set_key(given.key);
                 request.set_holder(given.holder);
                 request.set_token(given.token);
                 return CallAndShow(
                     session, request, &Cache::Unlock, +[](const v1::UnlockResponse& response) -> std::string {
                       return response.released() ? "unlocked" : "nobody had it";
                     });
               });
  unlock->add_option("--holder", unlocked->holder, "Who has it")->option_text("NAME");
  unlock->add_option("--token", unlocked->token, "The lock, as cache lock has printed it")->option_text("N");

  const auto checked = std::make_shared<CacheOptions>();
  AddKeyed(tree, cache,
           {.name = "check-lock",
            .meaning = "Say who has the lock on a key",
            .example = "actioncluster cache check-lock greeting",
            .details = "With --json: {\"obtainable\", \"held_by\", \"expires_at\"}.\n"},
           checked,
           [](const CacheOptions& given, const Session& session) {
             v1::CheckLockRequest request;
             request.set_key(given.key);
             request.set_holder(given.holder);
             return CallAndShow(session, request, &Cache::CheckLock, &DescribeLock);
           })
      ->add_option("--holder", checked->holder, "Who wants it: then it is obtainable also if this one has it")
      ->option_text("NAME");
}

void AddListCommands(CommandTree& tree, CLI::App* cache) {
  const auto pushed = std::make_shared<CacheOptions>();
  AddContentOptions(AddKeyed(tree, cache,
                             {.name = "push",
                              .meaning = "Append an item to a key's list, and print its length",
                              .example = R"(actioncluster cache push inbox '{"from": "me"}')",
                              .details = "With --json: {\"length\": STRING}.\n"},
                             pushed,
                             [](const CacheOptions& given, const Session& session) -> absl::Status {
                               const absl::StatusOr<v1::PushRequest> request = MakePush(given);
                               if (!request.ok()) return request.status();
                               return CallAndShow(
                                   session, *request, &Cache::Push,
                                   +[](const v1::PushResponse& response) { return absl::StrCat(response.length()); });
                             }),
                    "JSON", "The item: any JSON", &pushed->content);

  const auto popped = std::make_shared<CacheOptions>();
  CLI::App* const pop = AddKeyed(
      tree, cache,
      {.name = "pop",
       .meaning = "Take the first item of a key's list, and print it",
       .example = "actioncluster cache pop inbox --wait 1m",
       .details = "As cache get prints it. If there is none the exit status is 3. With --json: {\"value\": any JSON | "
                  "\"data\": BASE64}.\n"},
      popped, &Pop);
  pop->add_option("--wait", popped->wait, "If there is none, how long to wait for one; by default not at all")
      ->option_text("TIME");
  AddRaw(pop, popped);

  AddKeyed(tree, cache,
           {.name = "length",
            .meaning = "Print how many items a key's list has",
            .example = "actioncluster cache length inbox",
            .details = "With --json: {\"length\": STRING}.\n"},
           std::make_shared<CacheOptions>(), [](const CacheOptions& given, const Session& session) {
             v1::ListLengthRequest request;
             request.set_key(given.key);
             return CallAndShow(
                 session, request, &Cache::ListLength,
                 +[](const v1::ListLengthResponse& response) { return absl::StrCat(response.length()); });
           });
}

}  // namespace

absl::StatusOr<v1::LoadRequest> MakeLoad(const CacheOptions& options) {
  v1::LoadRequest request;
  request.set_key(options.key);
  request.set_holder(options.holder);
  request.set_track_reads(options.track_reads);
  request.set_allow_near(options.near);
  absl::Status fault = SetExpireAfter(options, request);
  fault.Update(SetLength(options.wait, "--wait", [&] { return request.mutable_wait_for_lock(); }));
  if (!fault.ok()) return fault;
  return request;
}

absl::StatusOr<v1::SaveRequest> MakeSave(const CacheOptions& options) { return MakeChange<v1::SaveRequest>(options); }

absl::StatusOr<v1::CompareAndSaveRequest> MakeCompareAndSave(const CacheOptions& options) {
  absl::StatusOr<v1::CompareAndSaveRequest> request = MakeChange<v1::CompareAndSaveRequest>(options);
  if (request.ok()) request->set_version(options.version.value_or(0));
  return request;
}

absl::StatusOr<v1::IncrementRequest> MakeIncrement(const CacheOptions& options) {
  absl::StatusOr<v1::IncrementRequest> request = MakeChange<v1::IncrementRequest>(options);
  if (request.ok()) request->set_by(options.by);
  return request;
}

absl::StatusOr<v1::LockRequest> MakeLock(const CacheOptions& options) {
  v1::LockRequest request;
  request.set_key(options.key);
  request.set_holder(options.holder);
  absl::Status fault = SetExpireAfter(options, request);
  fault.Update(SetLength(options.wait, "--wait", [&] { return request.mutable_wait_for(); }));
  if (!fault.ok()) return fault;
  return request;
}

absl::StatusOr<v1::PushRequest> MakePush(const CacheOptions& options) {
  v1::PushRequest request;
  request.set_key(options.key);
  if (absl::Status fault = SetContent(options, request); !fault.ok()) return fault;
  return request;
}

absl::StatusOr<v1::PopRequest> MakePop(const CacheOptions& options) {
  v1::PopRequest request;
  request.set_key(options.key);
  const absl::Status fault = SetLength(options.wait, "--wait", [&] { return request.mutable_wait_for(); });
  if (!fault.ok()) return fault;
  return request;
}

void AddCacheCommands(CommandTree& tree, CLI::App* cache) {
  AddGetCommand(tree, cache);
  AddSetCommand(tree, cache);
  AddDeleteCommand(tree, cache);
  AddIncrementCommand(tree, cache);
  AddLockCommands(tree, cache);
  AddListCommands(tree, cache);
}

}  // namespace actioncluster::cli
