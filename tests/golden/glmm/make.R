# Writes the data and the reference values of tests/test_mixed_engine.py.
# Run in this folder: Rscript make.R (some minutes).
suppressMessages({ library(lme4); library(lmerTest); library(jsonlite) })
options(digits = 17)
number <- function(x) unname(as.numeric(x))
save_csv <- function(d, file) {
  for (name in names(d)) if (is.double(d[[name]])) d[[name]] <- sprintf("%.17g", d[[name]])
  write.csv(d, file, row.names = FALSE, quote = FALSE)
}

# ---- data ------------------------------------------------------------------------------
data(sleepstudy); data(Dyestuff); data(Dyestuff2); data(Pastes); data(Penicillin); data(cake)
data(cbpp)
cake$replicate <- as.integer(cake$replicate)
cake$temperature <- as.character(cake$temperature)
cake <- cake[c("replicate", "recipe", "temperature", "temp", "angle")]
cbpp <- do.call(rbind, lapply(seq_len(nrow(cbpp)), function(i) data.frame(
  herd = cbpp$herd[i], period = cbpp$period[i],
  y = rep(c(1, 0), c(cbpp$incidence[i], cbpp$size[i] - cbpp$incidence[i])))))

set.seed(20261123)
# Questions in images, every question at eight k; slopes of log2 k at both levels.
images <- 60; questions <- 4; ks <- c(1, 2, 3, 4, 5, 6, 7, 8)
vqa <- do.call(rbind, lapply(seq_len(images), function(i) {
  c <- round(rnorm(1), 4)
  b <- rnorm(3) * c(0.9, 0.5, 0.25)
  do.call(rbind, lapply(seq_len(questions), function(q) {
    x <- round(log2(ks) / 3, 6)
    d <- rnorm(2) * c(1, 0.6)
    kind <- c("count", "color", "exist")[sample(3, 1)]
    eta <- 0.3 + 0.8 * x - 0.5 * c + 0.3 * c * x - 0.4 * x^2 + b[1] + b[2] * x + b[3] * x^2 +
      d[1] + d[2] * x + 0.4 * (kind == "exist")
    data.frame(image = sprintf("i%02d", i), question = paste0("q", q), kind = kind, c = c, x = x,
               y = rbinom(8, 1, plogis(eta)), ms = round(20 + 2 * eta + rnorm(8, sd = 0.8), 6))
  }))
}))
# The same questions put to six models, at three k, with answers missing here and there.
models <- 6
crossed <- do.call(rbind, lapply(seq_len(40), function(i) {
  c <- round(rnorm(1), 4); b <- rnorm(2) * c(0.8, 0.5)
  do.call(rbind, lapply(seq_len(sample(1:4, 1)), function(q) {
    d <- rnorm(1)
    g <- expand.grid(x = c(0, 1, 2), model = paste0("m", seq_len(models)))
    g <- g[sort(sample(nrow(g), 15)), ]
    data.frame(image = sprintf("i%02d", i), question = paste0("q", q), model = g$model, c = c, x = g$x,
               eta = b[1] + b[2] * g$x + d)
  }))
}))
shift <- rnorm(models, sd = 0.7); tilt <- rnorm(models, sd = 0.3)
which <- as.integer(substr(crossed$model, 2, 2))
crossed$eta <- with(crossed, 0.2 + (0.4 + tilt[which]) * x - 0.4 * c + shift[which] + eta)
crossed$y <- rbinom(nrow(crossed), 1, plogis(crossed$eta))
crossed$ms <- round(10 + crossed$eta + rnorm(nrow(crossed), sd = 0.6), 6)
crossed$eta <- NULL
# In no order that helps.
vqa <- vqa[sample(nrow(vqa)), ]; crossed <- crossed[sample(nrow(crossed)), ]

tables <- list(sleepstudy = sleepstudy, dyestuff = Dyestuff, dyestuff2 = Dyestuff2, pastes = Pastes,
               penicillin = Penicillin, cake = cake, cbpp = cbpp, vqa = vqa,
               crossed = crossed)
for (name in c("penicillin", "cake", "cbpp", "vqa", "crossed"))
  save_csv(tables[[name]], paste0(name, ".csv"))

# ---- fits ------------------------------------------------------------------------------
tight_l <- lmerControl(optimizer = "bobyqa", check.conv.singular = "ignore",
                       check.conv.grad = "ignore", check.conv.hess = "ignore",
                       optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6))
tight_g <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-10, check.conv.singular = "ignore",
                        optCtrl = list(rhoend = 1e-9, maxfun = 2e5))
laid_out <- function(f) {
  components <- as.data.frame(VarCorr(f))
  random <- components[components$grp != "Residual", ]
  list(names = I(names(fixef(f))), params = I(number(fixef(f))), cov = unname(as.matrix(vcov(f))),
       random = lapply(seq_len(nrow(random)), function(i) as.list(random[i, ])),
       loglik = number(logLik(f)), aic = AIC(f), bic = BIC(f), n_obs = nobs(f),
       n_groups = as.list(ngrps(f)), singular = isSingular(f))
}
linear <- function(data, formula, reml, terms = NULL) {
  f <- lmerTest::lmer(as.formula(formula), tables[[data]], REML = reml, control = tight_l)
  out <- laid_out(f)
  out$residual_sd <- sigma(f)
  out$df <- I(number(summary(f)$coefficients[, "df"]))
  out$p <- I(number(summary(f)$coefficients[, "Pr(>|t|)"]))
  if (!is.null(terms)) {
    # All columns of the named term at once.
    a <- anova(f, type = "3", ddf = "Satterthwaite")
    out$anova <- list(term = terms, f = a[terms, "F value"], df = a[terms, "NumDF"],
                      df_denom = a[terms, "DenDF"], p = a[terms, "Pr(>F)"])
  }
  c(list(data = data, formula = formula, family = "gaussian", method = if (reml) "reml" else "ml"), out)
}
logistic <- function(data, formula) {
  f <- glmer(as.formula(formula), tables[[data]], family = binomial, control = tight_g)
  # tolPwrss 1e-10 leaves the crossed models' log-likelihood .0004 off (the determinant is that of
  # the last but one step to the modes), and one search can stop short with a useless Hessian: begin
  # again from its end, and from beside it, with a tighter tolerance and another optimiser too.
  refit <- function(f, optimizer, away) {
    again <- tight_g
    again$tolPwrss <- 1e-13
    again$optimizer <- c(optimizer, optimizer)
    if (optimizer == "nlminbwrap") again$optCtrl <- list(rel.tol = 1e-14, x.tol = 1e-12, abs.tol = 0)
    try(glmer(as.formula(formula), tables[[data]], family = binomial, control = again,
              start = list(theta = getME(f, "theta") + away, fixef = fixef(f))), silent = TRUE)
  }
  first <- refit(f, "bobyqa", 0)
  if (inherits(first, "try-error")) cat("tolerance 1e-13 failed:", data, formula, "\n") else f <- first
  for (optimizer in c("bobyqa", "nlminbwrap", "bobyqa")) for (away in c(0, 0.05)) {
    g <- refit(f, optimizer, away)
    if (!inherits(g, "try-error") && logLik(g) > logLik(f)) f <- g
  }
  cat(data, formula, format(number(logLik(f)), digits = 15), "max gradient",
      max(abs(f@optinfo$derivs$gradient)), "\n")
  c(list(data = data, formula = formula, family = "binomial", method = "ml"), laid_out(f))
}
both <- function(data, formula, ...) list(linear(data, formula, TRUE, ...), linear(data, formula, FALSE, ...))
cases <- c(
  both("sleepstudy", "Reaction ~ Days + (1 | Subject)"),
  both("sleepstudy", "Reaction ~ Days + (1 + Days | Subject)"),
  both("sleepstudy", "Reaction ~ Days + (Days || Subject)"),
  both("dyestuff", "Yield ~ 1 + (1 | Batch)"),
  both("dyestuff2", "Yield ~ 1 + (1 | Batch)"),
  both("pastes", "strength ~ 1 + (1 | batch/cask)"),
  both("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
  both("cake", "angle ~ recipe + temp + (1 | recipe:replicate)", "recipe"),
  both("cake", "angle ~ recipe * temperature + (1 | replicate) + (1 | recipe:replicate)"),
  both("cake", "angle ~ recipe + temp + (1 | replicate) + (1 | temperature:replicate) + (1 | recipe:replicate)"),
  both("vqa", "ms ~ (x + I(x^2)) * c + (1 + x + I(x^2) | image) + (1 + x | image:question)"),
  both("vqa", "ms ~ x * c + kind + (1 + kind | image) + (1 + x | image:question)", "kind"),
  both("vqa", "ms ~ x * c + (x || image) + (x || image:question)"),
  both("crossed", "ms ~ x * c + (1 + x | image) + (1 | image:question) + (1 | model)"),
  both("crossed", "ms ~ x * c + (1 + x | image) + (1 | image:question) + (1 + x | model)"),
  list(logistic("cbpp", "y ~ period + (1 | herd)"),
       logistic("vqa", "y ~ x * c + kind + (1 | image)"),
       logistic("vqa", "y ~ (x + I(x^2)) * c + (1 + x | image) + (1 | image:question)"),
       logistic("vqa", "y ~ x * c + (x || image) + (1 | image:question)"),
       logistic("vqa", "y ~ x * c + (1 + x | image) + (1 + x | image:question)"),
       logistic("vqa", "y ~ (x + I(x^2)) * c + (1 + x + I(x^2) | image) + (1 + x | image:question)"),
       logistic("vqa", "y ~ x + kind + (1 + kind | image)"),
       logistic("crossed", "y ~ x * c + (1 + x | image) + (1 | image:question) + (1 | model)"),
       logistic("crossed", "y ~ x * c + (1 + x | image) + (1 | image:question) + (1 + x | model)"))
)
writeLines(toJSON(cases, digits = NA, auto_unbox = TRUE, pretty = TRUE, null = "null"), "fits.json")
version <- function(p) paste(p, as.character(packageVersion(p)))
cat("# Reference values\n\n",
    "Made by `Rscript make.R` with ", R.version.string, ", ", version("lme4"), ", ", version("lmerTest"),
    ", ", version("jsonlite"), ".\n\n`penicillin` (Davies & Goldsmith 1972, Statistical Methods in Research ",
    "and Production), `cake` (Cook 1938, MSc thesis, Iowa State College) and `cbpp` (Lesnoff et al. 2004, ",
    "Preventive Veterinary Medicine 66, one row an animal) are published data as lme4 tabulates them; `vqa` and `crossed` are simulated by the ",
    "script.\n", sep = "", file = "README.md")
