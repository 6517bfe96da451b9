# Writes the reference values of tests/test_mixed_modes.py, test_mixed_predict.py,
# test_mixed_explained.py and test_mixed_comparing.py. Run in this folder: Rscript make.R (a few
# minutes). The data are those of ../glmm and ../mixed.
suppressMessages({ library(lme4); library(jsonlite); library(performance) })
options(digits = 17)
number <- function(x) I(unname(as.numeric(x)))
table_of <- function(name) {
  path <- file.path(c("../glmm", "../mixed"), paste0(name, ".csv"))
  d <- read.csv(path[file.exists(path)][1], stringsAsFactors = FALSE)
  for (col in intersect(names(d), c("Subject", "period", "herd", "image", "question", "model")))
    d[[col]] <- factor(d[[col]])
  d
}
tables <- sapply(c("sleepstudy", "dyestuff2", "pastes", "penicillin", "cbpp", "vqa", "crossed"),
                 table_of, simplify = FALSE)
herds <- aggregate(cbind(hits = y, size = 1) ~ herd + period, tables$cbpp, sum)
herds$share <- herds$hits / herds$size
tables$herds <- herds[c("herd", "period", "share", "size")]
write.csv(transform(tables$herds, share = sprintf("%.17g", share)), "herds.csv", row.names = FALSE,
          quote = FALSE)

tight_l <- lmerControl(optimizer = "bobyqa", check.conv.singular = "ignore",
                       check.conv.grad = "ignore", check.conv.hess = "ignore",
                       optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6))
tight_g <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-13, check.conv.singular = "ignore",
                        check.conv.grad = "ignore", optCtrl = list(rhoend = 1e-9, maxfun = 2e5))
fitted_by <- function(data, formula, reml) {
  d <- tables[[data]]
  if (!is.null(reml)) return(lmer(as.formula(formula), d, REML = reml, control = tight_l))
  size <- if ("size" %in% names(d)) d$size else rep(1, nrow(d))
  d$size <- size
  f <- glmer(as.formula(formula), d, family = binomial, weights = size, control = tight_g)
  # Begin again from the end: one search can stop short.
  for (away in c(0, 0.05)) {
    g <- glmer(as.formula(formula), d, family = binomial, weights = size, control = tight_g,
               start = list(theta = getME(f, "theta") + away, fixef = fixef(f)))
    if (logLik(g) > logLik(f)) f <- g
  }
  f
}
# Variance of the random effects in each row's linear predictor, by grouping factor.
variances <- function(f, d) {
  columns <- getME(f, "cnms")
  sigmas <- VarCorr(f)
  sapply(seq_along(columns), function(i) {
    z <- sapply(columns[[i]], function(name)
      if (name == "(Intercept)") rep(1, nrow(d)) else as.numeric(eval(parse(text = name), d)))
    z <- matrix(z, nrow = nrow(d))
    rowSums((z %*% matrix(sigmas[[i]], ncol(z))) * z)
  })
}
# Known groups, a new question of a known image, and a new group altogether.
rows_for <- function(data) {
  d <- tables[[data]]
  new <- d[c(1:8, 9, 10), ]
  other <- list(sleepstudy = "Subject", dyestuff2 = "Batch", pastes = "batch", penicillin = "plate",
                cbpp = "herd", herds = "herd", vqa = "image", crossed = "image")[[data]]
  inner <- list(pastes = "cask", penicillin = "sample", vqa = "question", crossed = "question")[[data]]
  for (name in c(other, inner)) new[[name]] <- as.character(new[[name]])
  new[[other]][10] <- "new"
  if (!is.null(inner)) new[[inner]][9] <- "new"
  if (data == "crossed") { new$model <- as.character(new$model); new$model[8] <- "new" }
  new
}
described <- function(data, formula, reml = NULL, r2 = TRUE) {
  f <- fitted_by(data, formula, reml)
  cat(data, formula, "\n")
  modes <- as.data.frame(ranef(f, condVar = TRUE))
  new <- rows_for(data)
  logistic <- is.null(reml)
  fixed <- predict(f, new, re.form = NA, allow.new.levels = TRUE)
  X <- model.matrix(delete.response(terms(f)), transform(new))
  total <- rowSums(cbind(variances(f, new)))
  population <- if (!logistic) fixed else mapply(function(m, v) if (v == 0) plogis(m) else
    integrate(function(t) plogis(m + sqrt(v) * t) * dnorm(t), -40, 40, rel.tol = 1e-12,
              subdivisions = 2000)$value, fixed, total)
  used <- tables[[data]]
  # A row as often as it has trials.
  often <- rep(seq_len(nrow(used)), if (data == "herds") used$size else 1)
  by_group <- colMeans(cbind(variances(f, used))[often, , drop = FALSE])
  spread <- var(as.numeric(getME(f, "X") %*% fixef(f))[often])
  p <- mean(getME(f, "y")[often])
  residual <- if (logistic) c(theoretical = pi^2 / 3, delta = 1 / (p * (1 - p))) else c(residual = sigma(f)^2)
  seen <- NULL
  if (r2) {
    r <- r2_nakagawa(f, tolerance = 1e-12); i <- icc(f, tolerance = 1e-12)
    if (is.list(r) && is.list(i)) seen <- list(marginal = number(r$R2_marginal), conditional = number(r$R2_conditional),
                 adjusted = number(i$ICC_adjusted), unadjusted = number(i$ICC_unadjusted))
  }
  take <- seq_len(12)
  list(data = data, formula = formula, method = if (logistic) "ml" else if (reml) "reml" else "ml",
       family = if (logistic) "binomial" else "gaussian", singular = isSingular(f),
       modes = list(group = as.character(modes$grpvar), level = as.character(modes$grp),
                    term = as.character(modes$term), mode = number(modes$condval),
                    sd = number(modes$condsd)),
       new = as.list(lapply(new, function(x) if (is.factor(x)) as.character(x) else x)),
       predicted = list(
         conditional = number(predict(f, new, allow.new.levels = TRUE)),
         conditional_response = number(predict(f, new, allow.new.levels = TRUE, type = "response")),
         fixed = number(fixed), population_response = number(population),
         se = number(sqrt(rowSums((X %*% as.matrix(vcov(f))) * X)))),
       fitted = number(fitted(f)[take]),
       residuals = sapply(c("response", "pearson", "deviance"), function(type)
         number(residuals(f, type = type)[take]), simplify = FALSE),
       scaled = number(residuals(f, type = "pearson", scaled = TRUE)[take]),
       explained = list(fixed = spread, group = I(names(getME(f, "cnms"))), random = number(by_group),
                        residual = as.list(residual), performance = seen))
}
cases <- list(
  described("sleepstudy", "Reaction ~ Days + (1 + Days | Subject)", TRUE),
  described("sleepstudy", "Reaction ~ Days + (1 | Subject)", FALSE),
  described("sleepstudy", "Reaction ~ Days + (Days || Subject)", TRUE),
  described("dyestuff2", "Yield ~ 1 + (1 | Batch)", TRUE, r2 = FALSE),
  described("pastes", "strength ~ 1 + (1 | batch/cask)", TRUE),
  described("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", TRUE),
  described("vqa", "ms ~ (x + I(x^2)) * c + (1 + x + I(x^2) | image) + (1 + x | image:question)", TRUE),
  described("crossed", "ms ~ x * c + (1 + x | image) + (1 | image:question) + (1 + x | model)", TRUE),
  described("cbpp", "y ~ period + (1 | herd)"),
  described("herds", "share ~ period + (1 | herd)", r2 = FALSE),
  described("vqa", "y ~ x * c + (1 + x | image) + (1 | image:question)"),
  described("vqa", "y ~ x * c + (x || image) + (1 | image:question)"),
  described("crossed", "y ~ x * c + (1 + x | image) + (1 | image:question) + (1 | model)"))
writeLines(toJSON(cases, digits = NA, auto_unbox = TRUE, pretty = TRUE, null = "null"), "fits.json")

compared <- function(data, smaller, larger, reml = NULL) {
  a <- anova(fitted_by(data, smaller, reml), fitted_by(data, larger, reml), refit = FALSE)
  cat(data, smaller, "<", larger, "\n")
  list(data = data, smaller = smaller, larger = larger, family = if (is.null(reml)) "binomial" else "gaussian",
       method = if (isTRUE(reml)) "reml" else "ml", statistic = a$Chisq[2], df = a$Df[2],
       p = a[["Pr(>Chisq)"]][2])
}
pairs <- list(
  compared("sleepstudy", "Reaction ~ 1 + (1 + Days | Subject)", "Reaction ~ Days + (1 + Days | Subject)", FALSE),
  compared("sleepstudy", "Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (1 + Days | Subject)", TRUE),
  compared("sleepstudy", "Reaction ~ Days + (Days || Subject)", "Reaction ~ Days + (1 + Days | Subject)", FALSE),
  compared("penicillin", "diameter ~ 1 + (1 | plate)", "diameter ~ 1 + (1 | plate) + (1 | sample)", TRUE),
  compared("pastes", "strength ~ 1 + (1 | cask:batch)", "strength ~ 1 + (1 | batch) + (1 | cask:batch)", FALSE),
  compared("vqa", "y ~ x + c + (1 | image)", "y ~ x * c + (1 | image)"),
  compared("vqa", "y ~ x + c + (1 | image)", "y ~ x + c + (1 | image) + (1 | image:question)"),
  compared("crossed", "y ~ x + (1 | image) + (1 | model)", "y ~ x * c + (1 + x | image) + (1 | model)"))
writeLines(toJSON(pairs, digits = NA, auto_unbox = TRUE, pretty = TRUE, null = "null"), "anova.json")
version <- function(p) paste(p, as.character(packageVersion(p)))
cat("# Reference values\n\n",
    "Made by `Rscript make.R` with ", R.version.string, ", ", version("lme4"), ", ", version("performance"),
    ", ", version("insight"), ", ", version("jsonlite"), ".\n\n`fits.json`: modes with conditional standard deviations ",
    "(`ranef`), predictions on other rows (`predict` with `re.form` NULL and NA and `allow.new.levels`; population ",
    "averages by `integrate`), residuals, variances explained (the closed forms of Nakagawa & Schielzeth 2013 and ",
    "Johnson 2014 from `VarCorr`, and `performance`'s answers beside them). `anova.json`: likelihood-ratio tests. ",
    "`herds.csv` is `../glmm/cbpp.csv`, a row a herd and period.\n", sep = "", file = "README.md")
