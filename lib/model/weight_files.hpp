#pragma once

// The weight files of a model directory: model.safetensors, or the files that model.safetensors.index.json
// names. Names take the liberties of files in the wild: published GPT-2 weights lack the "transformer." in
// front.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/safetensors.hpp"

namespace gristmill::model {

class WeightFiles {
 public:
  /// Reads the headers. Error{input} if there are no weights, if the index names a file outside the folder,
  /// or if a tensor is not in the one file that the index says.
  explicit WeightFiles(const std::string& directory);

  /// The file's name for `name`, with or without the prefix of the body.
  std::optional<std::string> stored_name(const std::string& name) const;
  const SafetensorsReader& file_of(const std::string& stored) const { return *files_[owner_.at(stored)]; }
  /// Stored names, and the number of the file of each.
  const std::map<std::string, size_t>& names() const { return owner_; }
  /// For error messages.
  std::string where(const std::string& stored) const;

 private:
  void open(const std::string& file_name);
  void open_index(const std::string& path);

  std::string directory_;
  std::vector<std::unique_ptr<SafetensorsReader>> files_;
  std::map<std::string, size_t> owner_;
};

}  // namespace gristmill::model
