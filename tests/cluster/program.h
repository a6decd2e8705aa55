#ifndef ACTIONCLUSTER_TESTS_CLUSTER_PROGRAM_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_PROGRAM_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::cluster {

using fakes::kPatience;

// Asks again and again until `condition` holds. False: it did not within the limit.
bool Await(absl::FunctionRef<bool()> condition, absl::Duration limit = kPatience);

// The whole file; empty if there is none.
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, absl::string_view text, mode_t mode = 0600);

// The process is there, and not just waiting to be reaped.
bool IsAlive(pid_t pid);

// A directory that is there for as long as this is.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(absl::string_view name) const;

 private:
  std::string path_;
};

// A program that a test runs. Its output goes to files. Killed in the destructor, or when the thread that made it ends.
// One thread at a time.
class Program {
 public:
  // `args` begins with the program's path. `environment` (`NAME=value`) is on top of this process's own, without its
  // ACTIONCLUSTER_ variables. `network`: the namespace (a file) that it lives in, if not this process's own.
  Program(const std::vector<std::string>& args, const std::vector<std::string>& environment = {},
          std::optional<int> network = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int number) const;
  // Its exit status, or -N if signal N killed it. Nothing: it still runs.
  std::optional<int> Wait(absl::Duration limit = kPatience);

  // What it has said so far.
  std::string Out() const { return ReadFile(directory_ / "out"); }
  std::string Err() const { return ReadFile(directory_ / "err"); }
  // False: it ended before it said so, or never did.
  bool AwaitOut(absl::string_view text);

  // Its children, their children and so on, as they are now.
  std::vector<pid_t> Descendants() const;

 private:
  const TempDir directory_;
  pid_t pid_ = 0;
  std::optional<int> exit_;
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_PROGRAM_H_
