# Writes the reference values of tests/test_mixed_margins.py.
# Run in this folder: Rscript make.R
suppressMessages({ library(lme4); library(lmerTest); library(emmeans); library(jsonlite) })
options(digits = 17, contrasts = c("contr.treatment", "contr.poly"))
emm_options(lmer.df = "satterthwaite", opt.digits = FALSE, summary = list(infer = c(TRUE, TRUE)))
mixed <- function(name) read.csv(paste0("../mixed/", name, ".csv"), stringsAsFactors = TRUE)
glmm <- function(name) read.csv(paste0("../glmm/", name, ".csv"), stringsAsFactors = TRUE)
nested <- mixed("nested"); answers <- mixed("answers"); counts <- mixed("counts")
cake <- glmm("cake"); vqa <- glmm("vqa"); cbpp <- glmm("cbpp")
cake$temperature <- factor(cake$temperature); cbpp$period <- factor(cbpp$period)

tight_l <- lmerControl(optimizer = "bobyqa", check.conv.singular = "ignore",
                       optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6))
tight_g <- glmerControl(optimizer = "bobyqa", tolPwrss = 1e-12, optCtrl = list(rhoend = 1e-9, maxfun = 2e5))
strict <- glm.control(epsilon = 1e-14, maxit = 100)
# One search can stop short: begin again from its end with tighter tolerances.
tight_glmer <- function(formula, data) {
  f <- glmer(formula, data, family = binomial, control = glmerControl(optimizer = "bobyqa"))
  for (i in 1:2) f <- update(f, control = tight_g, start = list(theta = getME(f, "theta"), fixef = fixef(f)))
  f
}

fits <- list(
  lm_nested = lm(ms ~ factor(k) * kind + z, nested),
  lm_curve = lm(ms ~ poly(x, 2, raw = TRUE) * kind + z, nested),
  glm_answers = glm(y ~ factor(k) * c + kind, binomial, answers, control = strict),
  glm_counts = glm(share ~ c + kind, binomial, counts, weights = trials, control = strict),
  lmer_nested = lmerTest::lmer(ms ~ factor(k) * kind + z + (1 | image), nested, control = tight_l),
  lmer_slopes = lmerTest::lmer(ms ~ x * kind * z + (1 + x | image), nested, control = tight_l),
  lmer_cake = lmerTest::lmer(angle ~ recipe * temperature + (1 | replicate) + (1 | recipe:replicate), cake,
                             control = tight_l),
  glmer_vqa = tight_glmer(y ~ x * c + kind + (1 + x | image) + (1 | image:question), vqa),
  glmer_cbpp = tight_glmer(y ~ period + (1 | herd), cbpp)
)
number <- function(x) unname(as.numeric(x))
# Levels in words, numbers in the order of the rows; adjusted families are those of `by`.
laid_out <- function(e, ...) {
  s <- as.data.frame(summary(e, ...))
  known <- c("emmean", "estimate", "prob", "odds.ratio", "ratio", "response", "SE", "df", "asymp.LCL", "asymp.UCL",
             "lower.CL", "upper.CL", "t.ratio", "z.ratio", "p.value", "null")
  value <- intersect(c("emmean", "estimate", "prob", "odds.ratio", "ratio", "response", grep("trend$", names(s), value = TRUE)),
                     names(s))[1]
  pick <- function(...) { n <- intersect(c(...), names(s)); if (length(n)) I(number(s[[n[1]]])) else NULL }
  levels <- s[setdiff(names(s), c(known, value))]
  list(levels = lapply(levels, function(x) I(as.character(x))), estimate = I(number(s[[value]])), se = pick("SE"),
       df = I(ifelse(is.infinite(s$df), -1, s$df)), ci_low = pick("asymp.LCL", "lower.CL"),
       ci_high = pick("asymp.UCL", "upper.CL"), statistic = pick("t.ratio", "z.ratio"), p = pick("p.value"))
}
out <- list()
add <- function(name, e, ...) out[[name]] <<- laid_out(e, ...)
set.seed(1)

# ---- marginal means --------------------------------------------------------------------
add("lm mean", emmeans(fits$lm_nested, ~ 1))
add("lm k", emmeans(fits$lm_nested, "k"))
add("lm k by kind", emmeans(fits$lm_nested, "k", by = "kind"))
add("lm k proportional", emmeans(fits$lm_nested, "k", weights = "proportional"))
add("lm k at", emmeans(fits$lm_nested, "k", at = list(z = c(-1, 2), k = c(1, 8))))
add("lm curve", emmeans(fits$lm_curve, "x", by = "kind", at = list(x = c(0, 1.5, 3))))
add("lm k bonferroni", emmeans(fits$lm_nested, "k"), adjust = "bonferroni")
add("glm k link", emmeans(fits$glm_answers, "k"))
add("glm k response", emmeans(fits$glm_answers, "k", type = "response"))
add("glm k regrid", emmeans(regrid(ref_grid(fits$glm_answers), "response"), "k"))
add("glm k by c", emmeans(fits$glm_answers, "k", by = "c", at = list(c = c(-1, 1)), type = "response"))
# emmeans 1.8.4 counts rows, not their trials.
add("glm counts proportional", emmeans(fits$glm_counts, ~ 1, weights = number(tapply(counts$trials, counts$kind, sum)),
                                       type = "response"))
add("glm counts kind", emmeans(fits$glm_counts, "kind"))
add("lmer k", emmeans(fits$lmer_nested, "k"))
add("lmer k by kind", emmeans(fits$lmer_nested, "k", by = "kind"))
add("lmer cake", emmeans(fits$lmer_cake, "recipe"))
add("glmer kind", emmeans(fits$glmer_vqa, "kind", type = "response"))
add("glmer kind regrid", emmeans(regrid(ref_grid(fits$glmer_vqa, at = list(x = c(0, 1))), "response"), "kind"))
add("glmer period", emmeans(fits$glmer_cbpp, "period"))

# ---- contrasts -------------------------------------------------------------------------
k <- emmeans(fits$lm_nested, "k"); kk <- emmeans(fits$lmer_nested, "k"); r <- emmeans(fits$glm_answers, "k", type = "response")
for (adjust in c("none", "bonferroni", "holm", "sidak", "fdr", "tukey", "mvt")) {
  add(paste("lm pairs", adjust), pairs(k), adjust = adjust)
  add(paste("lmer pairs", adjust), pairs(kk), adjust = adjust)
  add(paste("glm odds ratios", adjust), pairs(r), adjust = adjust)
}
add("lmer pairs by kind", pairs(emmeans(fits$lmer_nested, "k", by = "kind")))
add("lmer pairs kind by k", pairs(emmeans(fits$lmer_nested, "kind", by = "k")))
add("lmer cake pairs", pairs(emmeans(fits$lmer_cake, "recipe")))
add("lmer cake reference", contrast(emmeans(fits$lmer_cake, "temperature"), "trt.vs.ctrl1", adjust = "mvt"))
add("lmer cake reference 205", contrast(emmeans(fits$lmer_cake, "temperature"), "trt.vs.ctrl", ref = 4, adjust = "holm"))
add("lmer cake consecutive", contrast(emmeans(fits$lmer_cake, "temperature"), "consec", adjust = "mvt"))
add("lmer cake poly", contrast(emmeans(fits$lmer_cake, "temperature"), "poly"))
add("lm custom", contrast(k, list(few_many = c(.5, .5, -.5, -.5), first = c(1, 0, 0, -1))))
add("lm interaction", contrast(emmeans(fits$lm_nested, ~ k * kind), interaction = c("consec", "consec"), by = NULL))
add("glm regrid pairs", pairs(emmeans(regrid(ref_grid(fits$glm_answers), "response"), "k")), adjust = "holm")
add("glm response differences", pairs(regrid(emmeans(fits$glm_answers, "k"), "response")), adjust = "none")
add("glm risk ratios", pairs(regrid(emmeans(regrid(ref_grid(fits$glm_answers), "response"), "k"), "log"), type = "response"), adjust = "none")
add("glmer odds ratios", pairs(emmeans(fits$glmer_vqa, "kind", type = "response")))
add("glmer period odds ratios", pairs(emmeans(fits$glmer_cbpp, "period", type = "response")), adjust = "mvt")

# emmeans takes its quantiles from qmvt, which are off by .002 at random: the distribution, tightly.
joint_t <- function(e, q, df) {
  R <- cov2cor(vcov(e))
  list(correlation = unname(R), q = q, df = df, p = 1 - number(mvtnorm::pmvt(
    rep(-q, nrow(R)), rep(q, nrow(R)), corr = R, df = df,
    algorithm = mvtnorm::GenzBretz(maxpts = 5e6, abseps = 1e-7))))
}
temperature <- emmeans(fits$lmer_cake, "temperature")
joint_ts <- list(
  joint_t(contrast(temperature, "consec"), 2.5, 210), joint_t(contrast(temperature, "consec"), 1.3, 12),
  joint_t(pairs(emmeans(fits$glmer_cbpp, "period")), 2.5, 0), joint_t(pairs(temperature), 2.8, 30),
  joint_t(contrast(k, "trt.vs.ctrl1"), 4.5, 25)
)

# ---- slopes ----------------------------------------------------------------------------
add("lm slope at", emtrends(fits$lm_curve, "kind", var = "x", at = list(x = 2), delta.var = 1e-6))
add("glm slope by k", emtrends(fits$glm_answers, "k", var = "c"))
add("glm slope pairs", pairs(emtrends(fits$glm_answers, "k", var = "c")))
add("lmer slope", emtrends(fits$lmer_slopes, "kind", var = "x"))
add("lmer slope pairs", pairs(emtrends(fits$lmer_slopes, "kind", var = "x")))
add("glmer slope", emtrends(fits$glmer_vqa, ~ 1, var = "x"))

# ---- joint tests -----------------------------------------------------------------------
tests <- list()
joint <- function(name, f, ...) {
  j <- as.data.frame(joint_tests(f, showconf = FALSE, ...))
  tests[[name]] <<- list(term = I(as.character(j[["model term"]])), df = I(j$df1), f = I(j$F.ratio), p = I(j$p.value),
                         by = if ("kind" %in% names(j)) I(as.character(j$kind)) else NULL)
}
joint("lm", fits$lm_nested)
joint("lm by kind", fits$lm_nested, by = "kind")
joint("glm", fits$glm_answers)
joint("lmer", fits$lmer_nested)
joint("lmer slopes", fits$lmer_slopes)
joint("lmer cake", fits$lmer_cake)
joint("glmer", fits$glmer_vqa)
# lmerTest's own type III tests: denominators of the joint test.
sums <- lmerTest::lmer(ms ~ factor(k) * kind + z + (1 | image), nested, control = tight_l)
a <- anova(sums, type = 3, ddf = "Satterthwaite")
tests$lmertest <- list(term = I(rownames(a)), df = I(a$NumDF), df_denom = I(a$DenDF), f = I(a[["F value"]]),
                       p = I(a[["Pr(>F)"]]))

# ---- averages over the rows used (g-computation) ---------------------------------------
# By hand: emmeans 1.8.4 gives counterfactual averages of the response only without contrasts.
f <- fits$glm_answers
counter <- function(k) {
  d <- answers; d$k <- k
  X <- model.matrix(delete.response(terms(f)), d, xlev = f$xlevels)
  p <- plogis(drop(X %*% coef(f)))
  list(mean = mean(p), gradient = colMeans(X * p * (1 - p)))
}
g <- lapply(c(1, 2, 4, 8), counter)
J <- t(sapply(g, `[[`, "gradient"))
# The average marginal effect of c, by its derivative in closed form.
X <- model.matrix(f); p <- fitted(f); b <- coef(f)
slope <- b["c"] + ifelse(answers$k == 2, b["factor(k)2:c"], 0) + ifelse(answers$k == 4, b["factor(k)4:c"], 0) +
  ifelse(answers$k == 8, b["factor(k)8:c"], 0)
D <- X * 0
D[, "c"] <- 1; for (k in c(2, 4, 8)) D[, paste0("factor(k)", k, ":c")] <- answers$k == k
ame <- colMeans(D * p * (1 - p) + X * slope * p * (1 - p) * (1 - 2 * p))
observed <- list(estimate = number(sapply(g, `[[`, "mean")), se = number(sqrt(diag(J %*% vcov(f) %*% t(J)))),
                 difference = number(g[[4]]$mean - g[[1]]$mean),
                 difference_se = number(sqrt((J[4, ] - J[1, ]) %*% vcov(f) %*% (J[4, ] - J[1, ]))),
                 ame = mean(slope * p * (1 - p)), ame_se = number(sqrt(ame %*% vcov(f) %*% ame)))

# ---- random effects integrated out: a large simulation ----------------------------------
f <- fits$glmer_vqa
set.seed(20261123)
draws <- 4e6
S <- as.matrix(VarCorr(f)$image); L <- t(chol(S)); q <- sqrt(VarCorr(f)[["image:question"]][1])
population <- lapply(c(0, 0.5, 1), function(x) {
  z <- c(1, x)
  sd <- sqrt(drop(t(z) %*% S %*% z) + q^2)
  eta <- drop(c(1, x, mean(vqa$c), 0, 1, x * mean(vqa$c)) %*%
                fixef(f)[c("(Intercept)", "x", "c", "kindcount", "kindexist", "x:c")])
  p <- plogis(eta + rnorm(draws, sd = sd))
  list(x = x, mean = mean(p), error = sd(p) / sqrt(draws))
})

version <- function(p) paste(p, as.character(packageVersion(p)))
writeLines(toJSON(list(estimates = out, tests = tests, observed = observed, population = population, joint_t = joint_ts), digits = NA,
                  auto_unbox = TRUE, pretty = TRUE, null = "null", na = "null"), "margins.json")
cat("# Reference values\n\n",
    "Made by `Rscript make.R` with ", R.version.string, ", ", version("emmeans"), ", ", version("lme4"), ", ",
    version("lmerTest"), ", ", version("mvtnorm"), ", ", version("jsonlite"),
    ".\n\nThe tables are those of `../mixed` and `../glmm`. Degrees of freedom are -1 for z (0 for the joint distributions).\n", sep = "",
    file = "README.md")
