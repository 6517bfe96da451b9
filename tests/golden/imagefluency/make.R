# Write what imagefluency 1.0.0 (GPL-3) gives on gray images; `make.py` calls this.
#
# Rscript make.R CHECKOUT FOLDER: CHECKOUT is imagefluency's source, FOLDER has a <name>.csv of 8-bit
# gray levels for every image. Values go to values.json in it. Needs pracma and jsonlite.
arguments <- commandArgs(trailingOnly = TRUE)
for (part in c("utils", "symmetry", "self-similarity")) {
  source(file.path(arguments[1], "R", paste0(part, ".R")))
}
values <- list()
for (path in sort(list.files(arguments[2], "[.]csv$", full.names = TRUE))) {
  gray <- unname(as.matrix(read.csv(path, header = FALSE)))
  side <- 2 * (min(dim(gray)) %/% 2)
  square <- gray[seq_len(side), seq_len(side)]
  here <- function(image, ...) {
    tryCatch(suppressMessages(unname(img_symmetry(image, ...))), error = function(e) NULL)
  }
  values[[sub("[.]csv$", "", basename(path))]] <- list(
    checksum = sum(gray),
    left_right = here(gray, horizontal = FALSE, shift_range = 0),
    top_bottom = here(gray, vertical = FALSE, shift_range = 0),
    left_right_moved = here(gray, horizontal = FALSE),
    top_bottom_moved = here(gray, vertical = FALSE),
    slope = img_self_similarity(square, raw = TRUE)
  )
}
jsonlite::write_json(
  values, file.path(arguments[2], "values.json"),
  auto_unbox = TRUE, digits = NA, pretty = 1, null = "null"
)
