# Writes spline.json, the reference values of tests/test_optimum_spline.py.
# Run in this folder: Rscript make_spline.R
suppressMessages({ library(sandwich); library(splines); library(jsonlite) })
options(digits = 17)
number <- function(x) unname(as.numeric(x))
ks <- c(1, 2, 3, 4, 6, 8, 12, 16)

# ---- data: as in make.R ----------------------------------------------------------------
wide <- read.csv("answers.csv", stringsAsFactors = FALSE)
per_image <- unique(wide[c("image_id", "n_objects")])
wide$c <- (wide$n_objects - mean(per_image$n_objects)) / sd(per_image$n_objects)
long <- reshape(wide, direction = "long", varying = paste0("k", ks), v.names = "score",
                timevar = "k", times = ks, idvar = c("model", "sample_id"))
long$x <- log2(long$k)
inner <- quantile(log2(ks), c(1, 2) / 3)
tight <- glm.control(epsilon = 1e-14, maxit = 100)
# The knots lie on the k of the grid, each counted once.
spline <- function(x) ns(x, knots = inner, Boundary.knots = range(log2(ks)))
fine <- seq(0, 4, by = 1 / 64)

curves <- function(d, covariates) {
  G <- length(unique(d$image_id))
  d$S <- spline(d$x)
  add <- if (covariates) " + question_type" else ""
  cluster <- function(f) vcovCL(f, cluster = d$image_id, type = "HC1", cadjust = TRUE)
  logit <- function(rhs) glm(as.formula(paste("score ~", rhs, add)), binomial, d, control = tight)
  wald <- function(f, terms) {
    b <- coef(f)[terms]
    W <- number(t(b) %*% solve(cluster(f)[terms, terms], b))
    list(statistic = W, df = length(terms), p = pf(W / length(terms), length(terms), G - 1,
                                                  lower.tail = FALSE))
  }
  f <- logit("S * c")
  # Lack of fit: dummies of four k beside the spline span the saturated curve.
  for (k in c(2, 4, 6, 12)) d[[paste0("d", k)]] <- as.numeric(d$k == k)
  full <- logit("(S + d2 + d4 + d6 + d12) * c")
  stopifnot(!anyNA(coef(full)), length(coef(full)) == length(coef(logit("factor(k) * c"))))
  # Accuracy averaged over the questions, on a fine grid.
  samples <- d[d$k == ks[1], ]
  averaged <- function(at) sapply(fine, function(x) {
    samples$S <- spline(rep(x, nrow(samples)))
    samples$c <- at
    mean(predict(f, samples, type = "response"))
  })
  tops <- lapply(c(-1, 0, 1), function(at) {
    a <- averaged(at)
    list(c = at, log2_k = fine[which.max(a)], accuracy = max(a))
  })
  terms <- grep("^S", names(coef(f)))
  list(deviance = f$deviance, params = number(coef(f)), names = names(coef(f)),
       flat = wald(f, terms), lack_of_fit = wald(full, grep("^d[0-9]", names(coef(full)))),
       tops = tops)
}

models <- split(long, long$model)
answers <- lapply(models, function(d) list(plain = curves(d, FALSE), adjusted = curves(d, TRUE)))
write_json(list(knots = number(inner), models = answers), "spline.json", auto_unbox = TRUE,
           digits = NA, pretty = TRUE)
