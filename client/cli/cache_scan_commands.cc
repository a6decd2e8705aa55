#include "client/cli/cache_scan_commands.h"

#include <fcntl.h>
#include <google/protobuf/struct.pb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "actioncluster/cache.h"
#include "client/cli/cache_session.h"
#include "client/cli/dump_file.h"
#include "client/cli/file_descriptor.h"
#include "client/cli/progress.h"
#include "client/cli/task_text.h"
#include "client/cli/text.h"

namespace actioncluster::cli {
namespace {

using client::Cache;

struct ScanOptions {
  std::string prefix;
  bool all = false;
  std::string file;
  bool keep = false;
  bool from_start = false;
};

// They take as long as there are keys: only who says so limits them.
absl::StatusOr<absl::Duration> LimitOf(const Session& session) {
  if (session.options.timeout.empty()) return absl::InfiniteDuration();
  return ParseTimeout(session.options.timeout, absl::InfiniteDuration());
}

absl::Status Keys(const ScanOptions& options, const Session& session) {
  return WithCache(session, [&](Cache& cache) {
    v1::ListKeysRequest request;
    request.set_prefix(options.prefix);
    Console& console = session.console;
    return cache.ListKeys(request, [&console](const std::string& key) {
      google::protobuf::Struct found;
      if (console.json()) (*found.mutable_fields())["key"].set_string_value(key);
      return console.WriteLine(console.json() ? ToJsonLine(found) : Escape(key));
    });
  });
}

absl::Status Locks(const ScanOptions& options, const Session& session) {
  return WithCache(session, [&](Cache& cache) {
    v1::ListLocksRequest request;
    request.set_prefix(options.prefix);
    Console& console = session.console;
    return cache.ListLocks(request, [&console](const v1::ListLocksResponse& lock) {
      return console.WriteLine(console.json()
                                   ? ToJsonLine(lock)
                                   : absl::StrCat(FormatInstant(lock.has_expires_at(), lock.expires_at()), "  ",
                                                  Escape(lock.key()), "  held by ", Escape(lock.held_by())));
    });
  });
}

absl::Status Size(const ScanOptions& options, const Session& session) {
  return WithCache(session, [&](Cache& cache) -> absl::Status {
    const absl::StatusOr<absl::Duration> limit = LimitOf(session);
    if (!limit.ok()) return limit.status();
    v1::SizeRequest request;
    request.set_prefix(options.prefix);
    const absl::StatusOr<v1::SizeResponse> size = cache.Size(request, *limit);
    if (!size.ok()) return size.status();
    session.console.WriteLine(session.console.json() ? ToJsonLine(*size) : absl::StrCat(size->size()));
    return absl::OkStatus();
  });
}

absl::Status Clear(const ScanOptions& options, const Session& session) {
  if (options.all != options.prefix.empty()) {
    return absl::InvalidArgumentError("it takes one of --prefix, which is not empty, and --all");
  }
  return WithCache(session, [&](Cache& cache) -> absl::Status {
    const absl::StatusOr<absl::Duration> limit = LimitOf(session);
    if (!limit.ok()) return limit.status();
    v1::ClearRequest request;
    request.set_prefix(options.prefix);
    const absl::StatusOr<v1::ClearResponse> cleared = cache.Clear(request, *limit);
    if (!cleared.ok()) return cleared.status();
    session.console.WriteLine(
        session.console.json() ? ToJsonLine(*cleared)
                               : absl::StrCat("removed: ", cleared->values(), " values, ", cleared->lists(), " lists"));
    return absl::OkStatus();
  });
}

absl::Status FileError(absl::string_view path, int error) {
  return absl::InvalidArgumentError(absl::StrCat(path, " cannot be written: ", std::strerror(error)));
}

// A file that appears under its name when it is complete; until then, or for ever, it is PATH.part, which only one may write at a time.
class NewFile {
 public:
  static absl::StatusOr<std::unique_ptr<NewFile>> Create(const std::string& path) {
    struct stat there;
    if (stat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
      return absl::InvalidArgumentError(absl::StrCat(path, " is something else than a file"));
    }
    const std::string part = absl::StrCat(path, ".part");
    // What the cache holds is for its owner to read.
    FileDescriptor fd(open(part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd.is_open()) return FileError(part, errno);
    // Its writer may have given it its name since.
    struct stat opened;
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || fstat(fd.get(), &opened) != 0 || stat(part.c_str(), &there) != 0 ||
        opened.st_ino != there.st_ino) {
      return absl::FailedPreconditionError(absl::StrCat(part, " is being written by another process"));
    }
    if (ftruncate(fd.get(), 0) != 0) return FileError(part, errno);
    return std::make_unique<NewFile>(path, part, std::move(fd));
  }
  NewFile(std::string path, std::string part, FileDescriptor fd)
      : path_(std::move(path)), part_(std::move(part)), fd_(std::move(fd)) {}
  ~NewFile() {
    if (!complete_) unlink(part_.c_str());
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  absl::Status Write(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t written = write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0 && errno != EINTR) return FileError(part_, errno);
      if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  // It is on the disk, and has its name.
  absl::Status Complete() {
    if (fsync(fd_.get()) != 0) return FileError(part_, errno);
    if (rename(part_.c_str(), path_.c_str()) != 0) return FileError(path_, errno);
    complete_ = true;
    const size_t slash = path_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
    const FileDescriptor fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.is_open()) fsync(fd.get());
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  const std::string part_;
  const FileDescriptor fd_;
  bool complete_ = false;
};

// Writes everything that there is.
absl::Status DumpTo(Cache& cache, const std::string& prefix, const Console& console, DumpWriter& writer) {
  Progress progress(console);
  uint64_t values = 0;
  if (progress.is_shown()) {
    progress.Say("counting keys");
    v1::SizeRequest request;
    request.set_prefix(prefix);
    if (const auto size = cache.Size(request, absl::InfiniteDuration()); size.ok()) {
      values = static_cast<uint64_t>(size->size());
    }
  }
  v1::DumpRequest request;
  request.set_prefix(prefix);
  absl::Status written;
  const absl::Status dumped = cache.Dump(request, [&](const v1::DumpEntry& entry) {
    written = writer.Add(entry);
    progress.Show("dumping", writer.entries(), values, writer.entries(), writer.bytes());
    return written.ok();
  });
  written.Update(dumped);
  return written.ok() ? writer.Finish() : written;
}

absl::Status Dump(const ScanOptions& options, const Session& session) {
  return WithCache(session, [&](Cache& cache) -> absl::Status {
    Console& console = session.console;
    if (options.file == "-") {
      if (console.OutIsTerminal()) return absl::InvalidArgumentError("a dump is nothing for a terminal: name a FILE");
      DumpWriter writer([&console](absl::string_view bytes) {
        return console.Write(bytes) ? absl::OkStatus() : absl::CancelledError("nobody reads it any more");
      });
      return DumpTo(cache, options.prefix, console, writer);
    }
    const absl::StatusOr<std::unique_ptr<NewFile>> file = NewFile::Create(options.file);
    if (!file.ok()) return file.status();
    DumpWriter writer([&file](absl::string_view bytes) { return (*file)->Write(bytes); });
    if (absl::Status dumped = DumpTo(cache, options.prefix, console, writer); !dumped.ok()) return dumped;
    if (absl::Status complete = (*file)->Complete(); !complete.ok()) return complete;
    console.WriteLine(console.json()
                          ? absl::StrCat("{\"entries\":\"", writer.entries(), "\",\"bytes\":\"", writer.bytes(), "\"}")
                          : absl::StrCat(writer.entries(), " entries, ", writer.bytes(), " bytes"));
    return absl::OkStatus();
  });
}

// Reads and proves the whole file; its digest.
absl::StatusOr<std::string> Prove(const std::string& path, Progress& progress) {
  absl::StatusOr<std::unique_ptr<DumpReader>> reader = DumpReader::Open(path);
  if (!reader.ok()) return reader.status();
  v1::DumpEntry entry;
  while (true) {
    const absl::StatusOr<bool> more = (*reader)->Next(&entry);
    if (!more.ok()) return more.status();
    if (!*more) return (*reader)->Digest();
    progress.Show("reading", (*reader)->position(), (*reader)->size(), (*reader)->entries(), (*reader)->position());
  }
}

std::string DescribeRestored(const v1::RestoreResponse& restored) {
  std::string text = absl::StrCat("restored: ", restored.values(), " values, ", restored.lists(), " lists");
  if (restored.kept() > 0) absl::StrAppend(&text, "; kept what was there of ", restored.kept());
  if (restored.expired() > 0) absl::StrAppend(&text, "; ", restored.expired(), " have expired");
  if (restored.resumed_at() > 0) {
    absl::StrAppend(&text, "; ", restored.resumed_at(),
                    " entries were restored before (with --from-start they are written again)");
  }
  return text;
}

// `*all_sent`: from then on the node may have begun to write.
absl::StatusOr<v1::RestoreResponse> Send(Cache& cache, const ScanOptions& options, const std::string& digest,
                                         Progress& progress, bool* all_sent) {
  const absl::StatusOr<std::unique_ptr<DumpReader>> reader = DumpReader::Open(options.file);
  if (!reader.ok()) return reader.status();
  v1::RestoreRequest::Begin begin;
  begin.set_restore_id(absl::StrCat("sha256:", digest, options.keep ? ":keep" : ""));
  begin.set_keep_existing(options.keep);
  begin.set_from_start(options.from_start);
  return cache.Restore(begin, [&](v1::DumpEntry* entry) -> absl::StatusOr<bool> {
    const absl::StatusOr<bool> more = (*reader)->Next(entry);
    if (!more.ok()) return more.status();
    if (!*more && (*reader)->Digest() != digest) {
      return absl::DataLossError(absl::StrCat(options.file, " has changed while it was read"));
    }
    if (*more) {
      progress.Show("sending", (*reader)->position(), (*reader)->size(), (*reader)->entries(), (*reader)->position());
    } else {
      *all_sent = true;
      progress.Say("all is sent; the node writes it");
    }
    return more;
  });
}

absl::Status Restore(const ScanOptions& options, const Session& session) {
  if (options.file == "-") {
    return absl::InvalidArgumentError("a dump is read twice, so it cannot come from standard input: name a FILE");
  }
  std::optional<Progress> progress(std::in_place, session.console);
  const absl::StatusOr<std::string> digest = Prove(options.file, *progress);
  if (!digest.ok()) return digest.status();
  return WithCache(session, [&](Cache& cache) -> absl::Status {
    bool all_sent = false;
    const absl::StatusOr<v1::RestoreResponse> restored = Send(cache, options, *digest, *progress, &all_sent);
    progress.reset();
    if (!restored.ok()) {
      const bool cut = absl::IsUnavailable(restored.status()) || absl::IsCancelled(restored.status());
      if (cut && all_sent) {
        session.console.Say(absl::StrCat("actioncluster: it was cut: run it again",
                                         options.from_start ? " without --from-start" : "",
                                         ", and it goes on where it was"));
      } else if (cut) {
        session.console.Say("actioncluster: nothing was written");
      }
      return restored.status();
    }
    session.console.WriteLine(session.console.json() ? ToJsonLine(*restored) : DescribeRestored(*restored));
    return absl::OkStatus();
  });
}

using Run = absl::Status (*)(const ScanOptions& options, const Session& session);

// Its options, to be added to the subcommand.
std::shared_ptr<ScanOptions> Add(CommandTree& tree, CLI::App* cache, const CommandSpec& spec, Run run, CLI::App** app) {
  auto options = std::make_shared<ScanOptions>();
  *app = tree.AddCommand(cache, spec, [options, run](const Session& session) { return run(*options, session); });
  return options;
}

void AddByPrefix(CommandTree& tree, CLI::App* cache, const CommandSpec& spec, Run run) {
  CLI::App* app = nullptr;
  const auto options = Add(tree, cache, spec, run, &app);
  app->add_option("--prefix", options->prefix, "Only keys that begin so")->option_text("TEXT");
}

void AddClear(CommandTree& tree, CLI::App* cache) {
  CLI::App* app = nullptr;
  const auto options = Add(
      tree, cache,
      {.name = "clear",
       .meaning = "Remove values and lists, of all keys or of those that begin so",
       .example = "actioncluster cache clear --prefix session:",
       .details = "Locks stay. It takes as long as there are keys: --timeout limits it only where it is given. With "
                  "--json:\n{\"values\", \"lists\"}.\n"},
      &Clear, &app);
  app->add_option("--prefix", options->prefix, "Only keys that begin so")->option_text("TEXT");
  app->add_flag("--all", options->all, "Everything");
}

void AddDumpAndRestore(CommandTree& tree, CLI::App* cache) {
  CLI::App* app = nullptr;
  auto options =
      Add(tree, cache,
          {.name = "dump",
           .meaning = "Write all values and lists, with their expiry, to a file",
           .example = "actioncluster cache dump monday.dump",
           .details = "The file appears when it is complete; until then it is FILE.part. With --json: {\"entries\", "
                      "\"bytes\"}.\n"},
          &Dump, &app);
  app->add_option("FILE", options->file, "Where to; - for standard output")->required()->type_name("");
  app->add_option("--prefix", options->prefix, "Only keys that begin so")->option_text("TEXT");

  options =
      Add(tree, cache,
          {.name = "restore",
           .meaning = "Write what a file of `cache dump` has back into the cache",
           .example = "actioncluster cache restore monday.dump",
           .details = "The whole file is proved first: a bad one changes nothing. If it is cut while it writes, "
                      "run it again within a\nweek: it goes on where it was. Once it is complete, the same file is not "
                      "written again for two minutes, but with\n--from-start. With --json: {\"values\", \"lists\", "
                      "\"expired\", \"kept\", \"resumed_at\"}.\n"},
          &Restore, &app);
  app->add_option("FILE", options->file, "What to restore")->required()->type_name("");
  app->add_flag("--keep", options->keep, "Leave keys alone that have a value or list already");
  app->add_flag("--from-start", options->from_start, "Write all of it, though some or all of it was restored before");
}

}  // namespace

void AddCacheScanCommands(CommandTree& tree, CLI::App* cache) {
  AddByPrefix(tree, cache,
              {.name = "keys",
               .meaning = "List the keys that have values",
               .example = "actioncluster cache keys --prefix session:",
               .details = "As fast as they are read, in no order. With --json: {\"key\"}.\n"},
              &Keys);
  AddByPrefix(tree, cache,
              {.name = "locks",
               .meaning = "List the locks that are held, and until when",
               .example = "actioncluster cache locks",
               .details = "With --json: {\"key\", \"held_by\", \"expires_at\"}.\n"},
              &Locks);
  AddByPrefix(
      tree, cache,
      {.name = "size",
       .meaning = "Count the keys that have values",
       .example = "actioncluster cache size",
       .details = "It takes as long as there are keys: --timeout limits it only where it is given. With --json: "
                  "{\"size\"}.\n"},
      &Size);
  AddClear(tree, cache);
  AddDumpAndRestore(tree, cache);
}

}  // namespace actioncluster::cli
