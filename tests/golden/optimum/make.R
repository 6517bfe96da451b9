# Writes the reference values of tests/test_optimum_*.py and tests/test_latency_model.py.
# Run in this folder: Rscript make.R
suppressMessages({
  library(sandwich); library(lmtest); library(lme4); library(mvtnorm); library(numDeriv)
  library(jsonlite)
})
options(digits = 17)
set.seed(20261123)
number <- function(x) unname(as.numeric(x))
ks <- c(1, 2, 3, 4, 6, 8, 12, 16)

# ---- data: long, complexity standardised over images -----------------------------------
wide <- read.csv("answers.csv", stringsAsFactors = FALSE)
per_image <- unique(wide[c("image_id", "n_objects")])
wide$c <- (wide$n_objects - mean(per_image$n_objects)) / sd(per_image$n_objects)
wide$bucket <- cut(wide$n_objects, c(-Inf, 8, 16, Inf), labels = c("low", "mid", "high"))
long <- reshape(wide, direction = "long", varying = paste0("k", ks), v.names = "score",
                timevar = "k", times = ks, idvar = c("model", "sample_id"))
long$x <- log2(long$k)
kf <- factor(long$k, levels = ks)

# ---- cells: means and image-clustered covariance by bucket -----------------------------
cells <- function(d) {
  f <- lm(score ~ 0 + factor(k, levels = ks), data = d)
  # HC0 with the cluster adjustment G / (G - 1) and nothing else.
  list(means = number(coef(f)),
       covariance = unname(vcovCL(f, cluster = d$image_id, type = "HC0", cadjust = TRUE)),
       n_images = length(unique(d$image_id)), n_questions = length(unique(d$sample_id)))
}

# ---- the test of a common optimum by numerical integration, no Monte Carlo draws -------
# Groups of different images are independent, so that the chance that no recentred t
# exceeds the statistic is a product over groups of multivariate t probabilities.
p_common <- function(groups) {
  sapply(seq_along(ks), function(candidate) {
    parts <- lapply(groups, function(g) {
      v <- g$covariance + diag(length(ks)) / (2 * g$n_questions^2)
      A <- diag(length(ks))[-candidate, ]
      A[, candidate] <- -1
      S <- A %*% v %*% t(A)
      gain <- number(A %*% g$means) / sqrt(diag(S))
      threshold <- -sqrt(2 * log(log(g$n_images)))
      list(gain = gain, corr = cov2cor(S), df = g$n_images - 1,
           centre = ifelse(gain <= threshold, gain, 0))
    })
    statistic <- max(0, unlist(lapply(parts, `[[`, "gain")))
    if (statistic == 0) return(1)
    below <- sapply(parts, function(p)
      pmvt(upper = rep(statistic, length(p$gain)), delta = p$centre, df = p$df, corr = p$corr,
           type = "shifted", algorithm = GenzBretz(maxpts = 2e6, abseps = 1e-6)))
    1 - prod(below)
  })
}

# ---- regressions -----------------------------------------------------------------------
wald <- function(f, terms, V, n_clusters) {
  b <- coef(f)[terms]
  W <- number(t(b) %*% solve(V[terms, terms], b))
  list(statistic = W, df = length(terms), df_denom = n_clusters - 1,
       p = pf(W / length(terms), length(terms), n_clusters - 1, lower.tail = FALSE))
}
tight <- glm.control(epsilon = 1e-14, maxit = 100)

curves <- function(d, covariates) {
  G <- length(unique(d$image_id))
  d$kf <- factor(d$k, levels = ks)
  add <- if (covariates) " + question_type" else ""
  cluster <- function(f) vcovCL(f, cluster = d$image_id, type = "HC1", cadjust = TRUE)
  logit <- function(rhs) glm(as.formula(paste("score ~", rhs, add)), binomial, d, control = tight)

  f <- logit("kf * c")
  V <- cluster(f)
  inter <- grep("^kf.*:c$", names(coef(f)))
  # The same statistic from lmtest, refitting without the interaction.
  check <- waldtest(logit("kf + c"), f, vcov = cluster, test = "Chisq")
  stopifnot(abs(check$Chisq[2] / wald(f, inter, V, G)$statistic - 1) < 1e-8)

  p <- lm(as.formula(paste("score ~ kf * c", add)), d)
  linear <- wald(p, grep("^kf.*:c$", names(coef(p))), cluster(p), G)

  bend <- logit("kf * c + kf * I(c^2)")
  linearity <- wald(bend, grep("^kf.*:I\\(c\\^2\\)$", names(coef(bend))), cluster(bend), G)

  # Lack of fit: orthogonal polynomials in x span the saturated curve; degrees 3 and up are 0.
  d$P <- poly(d$x, length(ks) - 1)
  full <- logit("P * c")
  high <- grep("^P[3-9](:c)?$", names(coef(full)))
  stopifnot(length(high) == 2 * (length(ks) - 3))
  lack <- wald(full, high, cluster(full), G)

  # Averaged curve by predicting every question at every k, Jacobian by numDeriv.
  samples <- d[d$k == ks[1], ]
  averaged <- function(beta, at) {
    g <- f
    g$coefficients <- setNames(beta, names(coef(f)))
    sapply(ks, function(level) {
      samples$kf <- factor(level, levels = ks)
      samples$c <- at
      mean(predict(g, samples, type = "response"))
    })
  }
  curve <- lapply(c(low = -1, high = 1.5), function(at) {
    J <- jacobian(averaged, number(coef(f)), at = at)
    list(c = at, accuracy = averaged(number(coef(f)), at), covariance = J %*% V %*% t(J))
  })

  # Quadratic: coefficients b1 x, b2 x^2, b4 x:c, b5 x^2:c.
  q <- logit("(x + I(x^2)) * c")
  VQ <- cluster(q)
  part <- c("x", "I(x^2)", "x:c", "I(x^2):c")
  b <- number(coef(q)[part]); VB <- unname(VQ[part, part])
  vertex <- function(b, at) -(b[1] + b[3] * at) / (2 * (b[2] + b[4] * at))
  slope <- function(b) grad(function(at) vertex(b, at), 0)
  contrast <- function(b) b[1] * b[4] - b[2] * b[3]
  gc <- grad(contrast, b)
  # The slope's gradient from its closed form d vertex / dc, not from the package's.
  gs <- grad(function(b) (b[1] * b[4] - b[2] * b[3]) / (2 * b[2]^2), b)
  W <- contrast(b)^2 / number(t(gc) %*% VB %*% gc)
  list(
    n_clusters = G, names = names(coef(f)), params = number(coef(f)), cov = unname(V),
    interaction = wald(f, inter, V, G), interaction_probability = linear,
    linearity = linearity, lack_of_fit = lack, curve = curve,
    quadratic = list(b = b, cov = VB, statistic = W, p = pf(W, 1, G - 1, lower.tail = FALSE),
                     slope = slope(b), slope_se = sqrt(number(t(gs) %*% VB %*% gs)),
                     vertex_low = vertex(b, -1), vertex_high = vertex(b, 1),
                     curvature_upper = sapply(c(-1.2, 1.3), function(at) {
                       s <- c(0, 1, 0, at)
                       number(s %*% b + qnorm(.975) * sqrt(t(s) %*% VB %*% s))
                     }),
                     flat_p = wald(q, part, VQ, G)$p))
}

models <- split(long, long$model)
answers <- lapply(models, function(d) {
  of <- lapply(split(d, d$bucket), cells)
  list(cells = c(of, list(all = cells(d))),
       p_ends = p_common(of[c("low", "high")]), p_every = p_common(of),
       p_low = p_common(of["low"]), p_all = p_common(list(cells(d))),
       plain = curves(d, FALSE), adjusted = curves(d, TRUE))
})

# ---- latency ---------------------------------------------------------------------------
times <- read.csv("latency.csv", stringsAsFactors = FALSE)
times$position <- ave(times$order, times$model, FUN = function(o) (o - min(o)) / (max(o) - min(o)))
once <- unique(times[c("sample_id", "n_objects")])
times$c <- (times$n_objects - mean(once$n_objects)) / sd(once$n_objects)
latency <- lapply(split(times, times$model), function(d) {
  lapply(c(prefill_ms = "prefill_ms", vision_ms = "vision_ms"), function(phase) {
    d$ms <- d[[phase]]
    items <- aggregate(cbind(ms, position, c) ~ sample_id + k, d, mean)
    items$kf <- factor(items$k, levels = ks)
    control <- lmerControl(optimizer = "bobyqa", check.conv.singular = "ignore",
                           optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6))
    f <- lmer(ms ~ kf + c + position + (1 | sample_id), items, REML = TRUE, control = control)
    g <- update(f, start = getME(f, "theta") * 0.5 + 0.1)
    if (logLik(g) > logLik(f)) f <- g
    m <- lm(ms ~ 0 + kf, items)
    se <- sqrt(diag(vcovCL(m, cluster = items$sample_id, type = "HC0", cadjust = TRUE)))
    list(means = number(coef(m)), means_se = number(se), names = names(fixef(f)),
         params = number(fixef(f)), se = number(sqrt(diag(as.matrix(vcov(f))))),
         item_sd = number(attr(VarCorr(f)$sample_id, "stddev")), residual_sd = sigma(f),
         loglik = number(logLik(f)), n_obs = nobs(f), n_items = number(ngrps(f)))
  })
})

# ---- write -----------------------------------------------------------------------------
used <- c("sandwich", "lmtest", "lme4", "mvtnorm", "numDeriv", "jsonlite")
versions <- c(list(R = R.version.string), lapply(setNames(used, used), function(p)
  as.character(packageVersion(p))))
writeLines(toJSON(list(versions = versions, ks = ks, models = answers, latency = latency),
                  digits = NA, auto_unbox = TRUE, pretty = FALSE, null = "null"), "answers.json")
