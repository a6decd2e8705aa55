#ifndef ACTIONCLUSTER_CLIENT_CLI_PROGRESS_H_
#define ACTIONCLUSTER_CLIENT_CLI_PROGRESS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cli/console.h"

namespace actioncluster::cli {

// `writing [#######.......]  46 %  123,456 entries  12.3 MiB`. `of`: 0 if it is not known. Pure.
std::string FormatProgress(absl::string_view what, uint64_t done, uint64_t of, uint64_t entries, uint64_t bytes);

// How far something is, in a line on standard error that is written over and over, if that is a terminal; else nothing. The line is gone with this. For the main thread.
class Progress {
 public:
  explicit Progress(const Console& console);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Whether anybody sees it.
  bool is_shown() const { return fd_ >= 0; }

  // Call it as often as there is news: it is shown at first, and then ten times a second.
  void Show(absl::string_view what, uint64_t done, uint64_t of, uint64_t entries, uint64_t bytes);
  // At once.
  void Say(absl::string_view what);

 private:
  void Write(absl::string_view line);

  const Console& console_;
  const int fd_;  // -1: nobody sees it.
  bool shown_ = false;
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_PROGRESS_H_
