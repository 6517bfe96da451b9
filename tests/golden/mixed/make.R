# Writes the data and the reference values of tests/test_mixed_*.py and tests/test_wald.py.
# Run in this folder: Rscript make.R
suppressMessages({
  library(lme4); library(sandwich); library(lmtest); library(jsonlite)
})
options(digits = 17)
number <- function(x) unname(as.numeric(x))
save_json <- function(x, file)
  writeLines(toJSON(x, digits = NA, auto_unbox = TRUE, pretty = TRUE, null = "null"), file)
save_csv <- function(d, file) {
  # 15 digits are not enough for a double: write what reads back exactly.
  for (name in names(d)) if (is.double(d[[name]])) d[[name]] <- sprintf("%.17g", d[[name]])
  write.csv(d, file, row.names = FALSE, quote = FALSE)
}

# ---- data ------------------------------------------------------------------------------
data(sleepstudy); data(Dyestuff); data(Dyestuff2); data(Pastes)
set.seed(20261123)
images <- 60
nested <- do.call(rbind, lapply(seq_len(images), function(i) {
  questions <- sample(2:4, 1)
  b <- c(rnorm(1, sd = 1.5), rnorm(1, sd = 0.4))
  kind <- sample(c("a", "b", "c"), 1)
  z <- rnorm(1)
  do.call(rbind, lapply(seq_len(questions), function(q) {
    k <- sort(sample(c(1, 2, 4, 8), sample(2:4, 1)))
    x <- log2(k)
    data.frame(image = sprintf("i%02d", i), question = paste0("q", q), kind = kind, z = z, k = k,
               x = x, ms = 20 + 3 * x + 0.8 * z + b[1] + b[2] * x + rnorm(1, sd = 0.7) +
                 rnorm(length(k), sd = 0.5))
  }))
}))
save_csv(sleepstudy, "sleepstudy.csv")
save_csv(Dyestuff, "dyestuff.csv")
save_csv(Dyestuff2, "dyestuff2.csv")
save_csv(Pastes[c("strength", "batch", "cask", "sample")], "pastes.csv")
save_csv(nested, "nested.csv")

images <- 120
answers <- do.call(rbind, lapply(seq_len(images), function(i) {
  c <- rnorm(1); b <- rnorm(1)
  do.call(rbind, lapply(seq_len(sample(1:4, 1)), function(q) {
    k <- c(1, 2, 4, 8)
    kind <- sample(c("count", "color", "exist"), 1)
    eta <- 0.4 + 0.5 * (k > 1) + 0.3 * (k > 2) - 0.6 * c + 0.2 * c * (k == 8) + b +
      0.7 * (kind == "exist")
    y <- rbinom(4, 1, plogis(eta))
    data.frame(image = sprintf("i%03d", i), kind = kind, k = k, c = c, y = y,
               soft = pmin(1, round(10 * plogis(eta + rnorm(4))) / 10 * rbinom(4, 1, 0.9)))
  }))
}))
save_csv(answers, "answers.csv")

# ---- linear mixed models ---------------------------------------------------------------
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6),
                     check.conv.singular = "ignore")
mixed <- function(data, formula, ours = NULL) {
  lapply(c(reml = TRUE, ml = FALSE), function(reml) {
    f <- lmer(as.formula(formula), get(data), REML = reml, control = tight)
    # A restart from another point must not find better.
    g <- update(f, start = getME(f, "theta") * 0.5 + 0.1)
    if (logLik(g) > logLik(f)) f <- g
    components <- as.data.frame(VarCorr(f))
    random <- components[components$grp != "Residual", ]
    list(names = I(names(fixef(f))), params = I(number(fixef(f))), cov = unname(as.matrix(vcov(f))),
         random = lapply(seq_len(nrow(random)), function(i) as.list(random[i, ])),
         residual_sd = sigma(f), loglik = number(logLik(f)), aic = AIC(f), bic = BIC(f),
         deviance = -2 * number(logLik(f)), n_obs = nobs(f), n_groups = as.list(ngrps(f)),
         singular = isSingular(f))
  })
}
cases <- list(
  list("sleepstudy", "Reaction ~ Days + (1 | Subject)"),
  list("sleepstudy", "Reaction ~ Days + (1 + Days | Subject)"),
  list("sleepstudy", "Reaction ~ Days + (Days || Subject)"),
  list("sleepstudy", "Reaction ~ Days + (0 + Days | Subject)"),
  list("Dyestuff", "Yield ~ 1 + (1 | Batch)"),
  list("Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
  list("Pastes", "strength ~ 1 + (1 | batch/cask)"),
  list("Pastes", "strength ~ 1 + (1 | batch) + (1 | sample)"),
  list("nested", "ms ~ x + z + (1 | image)"),
  list("nested", "ms ~ factor(k) * z + kind + (1 | image)"),
  list("nested", "ms ~ x * z + (1 | image) + (1 | image:question)"),
  list("nested", "ms ~ x * z + (1 + x | image) + (1 | image:question)"),
  list("nested", "ms ~ x * z + (x || image) + (1 | image:question)")
)
save_json(lapply(cases, function(case) list(
  data = tolower(case[[1]]), formula = gsub("factor(", "C(", case[[2]], fixed = TRUE),
  fits = mixed(case[[1]], case[[2]]))), "lmer.json")

# ---- linear models ---------------------------------------------------------------------
linear <- function(data, formula, cluster) {
  f <- lm(as.formula(formula), get(data))
  g <- as.formula(paste("~", cluster))
  list(data = data, formula = gsub("factor(", "C(", formula, fixed = TRUE), cluster = cluster,
       names = names(coef(f)), params = number(coef(f)), cov = unname(vcov(f)),
       cov_cluster = unname(vcovCL(f, g, type = "HC1")), residual_sd = sigma(f),
       loglik_ml = number(logLik(f)), loglik_reml = number(logLik(f, REML = TRUE)),
       aic = AIC(f), bic = BIC(f), p = number(summary(f)$coefficients[, 4]),
       p_cluster = number(coeftest(f, vcovCL(f, g, type = "HC1"),
                                   df = length(unique(get(data)[[cluster]])) - 1)[, 4]),
       conf_int = unname(confint(f)))
}
save_json(list(
  linear("sleepstudy", "Reaction ~ Days", "Subject"),
  linear("nested", "ms ~ factor(k) * z + kind", "image"),
  linear("nested", "log(ms) ~ x + I(x**2)", "image"),
  linear("answers", "y ~ factor(k) * c + kind", "image")
), "lm.json")

# ---- logits ----------------------------------------------------------------------------
strict <- glm.control(epsilon = 1e-14, maxit = 100)
# sandwich::vcovCL works from the residuals glm keeps; the same in the open, as a check.
by_hand <- function(f, cluster) {
  X <- model.matrix(f); mu <- fitted(f); w <- f$prior.weights
  scores <- rowsum(X * (w * (f$y - mu)), cluster)
  bread <- solve(crossprod(X * sqrt(w * mu * (1 - mu))))
  G <- nrow(scores); N <- nrow(X); p <- ncol(X)
  unname(G / (G - 1) * (N - 1) / (N - p) * bread %*% crossprod(scores) %*% bread)
}
logit <- function(outcome, rhs, family, cluster = "image") {
  f <- glm(as.formula(paste(outcome, "~", rhs)), family, answers, control = strict)
  g <- as.formula(paste("~", cluster))
  V <- unname(vcovCL(f, g, type = "HC1"))
  stopifnot(max(abs(V / by_hand(f, answers[[cluster]]) - 1)) < 1e-6)
  quasi <- family$family == "quasibinomial"
  G <- length(unique(answers[[cluster]]))
  list(formula = gsub("factor(", "C(", paste(outcome, "~", rhs), fixed = TRUE), cluster = cluster,
       names = names(coef(f)), params = number(coef(f)), cov = if (quasi) NULL else unname(vcov(f)),
       cov_cluster = V, cov_hc1 = unname(vcovCL(f, seq_len(nrow(answers)), type = "HC1")),
       loglik = if (quasi) NULL else number(logLik(f)), deviance = deviance(f),
       aic = if (quasi) NULL else AIC(f), bic = if (quasi) NULL else BIC(f),
       p_cluster = number(coeftest(f, V, df = G - 1)[, 4]))
}
save_json(list(
  logit("y", "factor(k) * c + kind", binomial()),
  logit("y", "c + I(c**2)", binomial()),
  logit("soft", "factor(k) * c + kind", quasibinomial())
), "glm.json")

# Counts of trials: four rows of an image and question become one.
counts <- aggregate(cbind(y, trials = 1) ~ image + kind + c, answers, sum)
counts$share <- counts$y / counts$trials
save_csv(counts, "counts.csv")
f <- glm(cbind(y, trials - y) ~ c + kind, binomial(), counts, control = strict)
save_json(list(names = names(coef(f)), params = number(coef(f)), cov = unname(vcov(f)),
               loglik = number(logLik(f)), deviance = deviance(f)), "counts.json")

# ---- Wald tests ------------------------------------------------------------------------
full <- glm(y ~ factor(k) * c + kind, binomial(), answers, control = strict)
V <- vcovCL(full, ~image, type = "HC1")
drop <- function(smaller, test) {
  w <- waldtest(full, smaller, vcov = V, test = test)
  list(statistic = w[2, 3], df = abs(w[2, 2]), p = w[2, 4], df_denom = w[1, 1])
}
save_json(list(
  interaction = c(list(terms = c("C(k)[2]:c", "C(k)[4]:c", "C(k)[8]:c")),
                  drop(y ~ factor(k) + c + kind, "Chisq")),
  interaction_f = c(list(terms = c("C(k)[2]:c", "C(k)[4]:c", "C(k)[8]:c")),
                    drop(y ~ factor(k) + c + kind, "F")),
  kind = c(list(terms = c("kind[count]", "kind[exist]")), drop(y ~ factor(k) * c, "Chisq"))
), "wald.json")

cat("# Reference values\n\n",
    "Made by `Rscript make.R` with ", R.version.string, ", lme4 ", as.character(packageVersion("lme4")),
    ", sandwich ", as.character(packageVersion("sandwich")), ", lmtest ",
    as.character(packageVersion("lmtest")), ", jsonlite ", as.character(packageVersion("jsonlite")),
    ".\n\n`sleepstudy` (Belenky et al. 2003, J. Sleep Research 12), `dyestuff` and `pastes` (Davies 1947, ",
    "Statistical Methods in Research and Production) and `dyestuff2` (Box & Tiao 1973, Bayesian Inference ",
    "in Statistical Analysis) are published measurements as lme4 tabulates them; the other tables are ",
    "simulated by the script. Every linear mixed model was fitted twice, from two starting points.\n",
    sep = "", file = "README.md")
